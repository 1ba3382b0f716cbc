//! Where others reach the unit.

use serde::Deserialize;

use super::{HookTools, ToolError};

/// What `network-get` prints. Juju leaves out each list that is empty.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Network {
    bind_addresses: Vec<Interface>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Interface {
    addresses: Vec<Address>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    value: String,
}

impl Network {
    /// Returns the first address, if there is one.
    pub(crate) fn address(self) -> Option<String> {
        let mut addresses = self.bind_addresses.into_iter().flat_map(|interface| interface.addresses);
        addresses.find_map(|address| Some(address.value).filter(|value| !value.is_empty()))
    }
}

impl HookTools {
    /// Returns the address of the unit's pod; `None` as long as Juju does not know it.
    ///
    /// It is asked for all addresses: for the one alone, older agents that do not know it yet do not answer at all.
    pub(crate) async fn address(&self, endpoint: &str) -> Result<Option<String>, ToolError> {
        let network: Option<Network> = match self.json("network-get", &[endpoint]).await {
            Err(ToolError::Failed { stderr, .. }) => {
                tracing::info!("Juju does not know the unit's address yet: {stderr}");
                None
            }
            answer => answer?,
        };
        Ok(network.unwrap_or_default().address())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tool::tests::ScriptedTools;

    #[tokio::test]
    async fn the_address_is_that_of_the_pod() {
        let printed = r#"{"bind-addresses":[{"mac-address":"","interface-name":"","addresses":[{"hostname":"","value":"10.1.42.30","cidr":""}]}],
            "egress-subnets":["10.1.42.30/32"],"ingress-addresses":["10.152.183.7"]}"#;
        let scripted = ScriptedTools::new(&[("network-get", &format!("cat <<'END'\n{printed}\nEND"))]);
        let address = scripted.tools().address("metrics-endpoint").await.unwrap();
        assert_eq!(address.as_deref(), Some("10.1.42.30"));
        assert_eq!(scripted.calls("network-get"), "--format\njson\nmetrics-endpoint\n");
    }

    #[tokio::test]
    async fn an_address_that_is_not_known_yet_is_no_error() {
        let no_addresses = r#"echo '{"bind-addresses":[{"addresses":[]}]}'"#;
        for script in ["echo '{}'", no_addresses, "echo 'ERROR no network config found' >&2; exit 1"] {
            let scripted = ScriptedTools::new(&[("network-get", script)]);
            assert_eq!(scripted.tools().address("metrics-endpoint").await.unwrap(), None, "{script}");
        }
    }
}
