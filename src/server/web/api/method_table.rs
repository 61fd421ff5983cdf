//! The methods of the API by name.

use super::method::Method;
use super::methods;
use std::collections::BTreeMap;

/// Every method by its name, in alphabetical order.
pub(super) struct MethodTable(pub BTreeMap<&'static str, Method>);

impl Default for MethodTable {
    fn default() -> Self {
        Self(methods::all().into_iter().map(|method| (method.name, method)).collect())
    }
}
