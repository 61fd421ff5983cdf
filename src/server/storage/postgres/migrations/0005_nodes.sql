-- The nodes of a cluster, by their inner addresses: each client_id begins with one, so two live nodes must not have the same. A node
-- renews its row every 5 seconds; one that was seen within 15 seconds lives.
CREATE TABLE roomcast.nodes (
    lan_addr text COLLATE "C" PRIMARY KEY,
    -- The run of the node: a later process under the same address has another one.
    incarnation text COLLATE "C" NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
