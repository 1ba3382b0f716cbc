//! The interface `azure_storage`, and beside it `azure_service_principal`.

use std::collections::BTreeMap;

use super::interface::{Companion, RequestContext, StorageInterface};
use crate::{
    contract::endpoint,
    storage::{Azure, SERVICE_PRINCIPAL_KEYS, VeleroStorageProvider},
};

/// Azure by the relation with an azure-storage-integrator.
pub(super) struct AzureStorage;

impl StorageInterface for AzureStorage {
    fn endpoint(&self) -> &'static str {
        endpoint::AZURE_STORAGE
    }

    fn integrator(&self) -> &'static str {
        "azure-storage-integrator"
    }

    fn provider(&self) -> &'static dyn VeleroStorageProvider {
        &Azure
    }

    fn companions(&self) -> &'static [Companion] {
        &[Companion {
            endpoint: endpoint::AZURE_SERVICE_PRINCIPAL,
            integrator: "azure-auth-integrator",
            keys: &SERVICE_PRINCIPAL_KEYS,
            request: &[("requested-secrets", r#"["client-id", "client-secret"]"#)],
        }]
    }

    /// The integrator answers when a container is asked for, whichever, and names the one that it was configured with.
    fn request(&self, seen: &RequestContext<'_>) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("requested-secrets", r#"["secret-key"]"#.to_owned()),
            ("container", format!("relation-{}", seen.relation_number)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::{super::FieldSource, *};

    #[test]
    fn a_field_of_the_service_principal_is_its_integrators() {
        assert_eq!(
            AzureStorage.source_of("client-secret"),
            FieldSource { endpoint: "azure-service-principal", integrator: "azure-auth-integrator" }
        );
        assert_eq!(AzureStorage.source_of("secret-key").endpoint, "azure-storage");
    }
}
