//! The types of bodies, gathered as they are named.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::{Ref, RefOr, Schema};

/// The schemas that the document needs, by name.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    /// A reference to the schema of a type, which is gathered with all that it refers to.
    pub(super) fn of<T: ToSchema>(&mut self) -> Ref {
        self.under::<T>(&T::name())
    }

    /// The same under a name of its own, for types that differ only in what they are made with.
    pub(super) fn under<T: ToSchema>(&mut self, name: &str) -> Ref {
        let mut named = vec![(name.to_owned(), T::schema())];
        T::schemas(&mut named);
        for (name, schema) in named {
            self.0.entry(name).or_insert(schema);
        }
        Ref::from_schema_name(name)
    }

    /// The same for a schema that no type has.
    pub(super) fn named(&mut self, name: &str, schema: impl Into<RefOr<Schema>>) -> Ref {
        self.0.entry(name.to_owned()).or_insert(schema.into());
        Ref::from_schema_name(name)
    }

    pub(super) fn into_named(self) -> impl Iterator<Item = (String, RefOr<Schema>)> {
        self.0.into_iter()
    }
}
