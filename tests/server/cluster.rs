//! Several nodes on one PostgreSQL and one NATS server.

mod bus;
mod calls;
mod faults;
mod news;
mod nodes;
mod order;
mod people;
mod reach;
mod stage;
mod versions;
