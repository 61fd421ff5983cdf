//! The methods of the API by name.

use super::method::Method;
use super::methods;
use super::openapi::{Description, openapi_document};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Every method by its name, in alphabetical order.
pub(super) struct MethodTable {
    /// The methods.
    pub methods: BTreeMap<&'static str, Method>,
    description: OnceLock<Description>,
}

impl Default for MethodTable {
    fn default() -> Self {
        let methods = methods::all().into_iter().map(|method| (method.name, method)).collect();
        Self { methods, description: OnceLock::new() }
    }
}

impl MethodTable {
    /// The description of the API, which is built for the first request.
    pub(super) fn description(&self) -> &Description {
        self.description.get_or_init(|| Description::new(&openapi_document(self.methods.values())))
    }
}
