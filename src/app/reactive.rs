//! Effects and conditional parts of the panel. Leptos compiles its machinery anew for the type of every closure that it is given;
//! these functions give it boxes of one type each.

use leptos::prelude::*;
use std::sync::Arc;

/// Runs `run` in the browser, now and whenever a signal changes that it read, with the value that it returned before. The server
/// never runs it.
pub fn effect<T: 'static>(mut run: impl FnMut(Option<T>) -> T + 'static) {
    let mut last = None;
    of_box(Box::new(move || last = Some(run(last.take()))));
}

fn of_box(run: Box<dyn FnMut()>) {
    Effect::new(run);
}

/// Renders `view` while `when` is true, and nothing otherwise.
pub fn shown<V: IntoView + 'static>(
    when: impl Fn() -> bool + Send + Sync + 'static,
    view: impl Fn() -> V + Send + Sync + 'static,
) -> impl IntoView {
    of_boxes(Memo::new(move |_| when()), Arc::new(move || view().into_any()))
}

fn of_boxes(when: Memo<bool>, view: Arc<dyn Fn() -> AnyView + Send + Sync>) -> impl IntoView {
    move || when.get().then(|| view())
}
