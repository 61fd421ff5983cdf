//! A value as `unserialize` reads it: a [`Document`] of [`Node`]s that borrow the text.

use super::Key;
use super::unserialize::Parser;
use std::fmt;

/// Arrays within arrays, as deep as `json_encode` goes; PHP itself reads deeper.
pub(super) const MAX_DEPTH: usize = 512;

/// The index of a node in its document.
pub(super) type NodeId = u32;

/// One value. Arrays and objects refer to their values by [`NodeId`].
#[derive(Debug)]
pub enum Node<'a> {
    /// `N;`
    Null,
    /// `b:`
    Bool(bool),
    /// `i:`
    Int(i64),
    /// `d:`
    Float(f64),
    /// `s:`, any bytes.
    Text(&'a [u8]),
    /// `a:`, in the order of the text. Each key occurs once.
    Array(Vec<(Key<'a>, NodeId)>),
    /// `O:`, an object with its properties.
    Object {
        /// The name of its class.
        class: &'a [u8],
        /// Names as in the text: those of private and protected properties begin with a NUL.
        properties: Vec<(Key<'a>, NodeId)>,
    },
    /// The whole text of an enumeration's case (`E:`), or of an object with a serialization of its own (`C:`).
    Opaque(&'a [u8]),
    /// `R:`, a reference to a value.
    Reference(NodeId),
    /// `r:`, the same object again.
    SameObject(NodeId),
}

/// A value and all values in it. The root is node 0.
#[derive(Debug)]
pub struct Document<'a> {
    nodes: Vec<Node<'a>>,
    /// Per node: whether a [`Node::Reference`] points to it, so that it is one of several references itself.
    referenced: Vec<bool>,
}

/// The text is not a serialized value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnserializeError {
    /// The offset of the error, in bytes.
    pub at: usize,
}

impl fmt::Display for UnserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a serialized value: error at byte {}", self.at)
    }
}

impl std::error::Error for UnserializeError {}

impl<'a> Document<'a> {
    /// Reads a serialized value. Bytes behind it are ignored, as PHP ignores them.
    pub fn read(text: &'a [u8]) -> Result<Self, UnserializeError> {
        let mut reader = Parser::new(text);
        match reader.value(0) {
            Some(_) => Ok(Self { nodes: reader.nodes, referenced: reader.referenced }),
            None => Err(UnserializeError { at: reader.at }),
        }
    }

    /// Returns the outermost value.
    pub fn root(&self) -> &Node<'a> {
        self.at(0)
    }

    /// Returns a value; the target, if the node is a reference.
    pub fn at(&self, id: NodeId) -> &Node<'a> {
        &self.nodes[self.target(id) as usize]
    }

    /// Returns a node without following references.
    pub(super) fn node(&self, id: NodeId) -> &Node<'a> {
        &self.nodes[id as usize]
    }

    /// Returns the node of the value itself. References point to values, never to references.
    pub(super) fn target(&self, id: NodeId) -> NodeId {
        match self.nodes[id as usize] {
            Node::Reference(to) | Node::SameObject(to) => to,
            _ => id,
        }
    }

    /// Returns true if the node is one of several references to one value.
    pub(super) fn is_shared(&self, id: NodeId) -> bool {
        matches!(self.node(id), Node::Reference(_)) || self.referenced[id as usize]
    }

    /// Nodes of the document.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}
