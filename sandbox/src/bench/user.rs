//! The user of the cluster who does by hand what the charm does: a service account, as the audit log tells of those.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    rbac::v1::ClusterRoleBinding,
};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

const NAMESPACE: &str = "default";
const NAME: &str = "bench-user";

/// How long the user's token is valid, in seconds: longer than any bench.
const TOKEN_LIFETIME: i64 = 24 * 3600;

/// Why there is no user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The API server refused.
    #[error("cannot make a user of the cluster")]
    Create(#[source] Box<kube::Error>),
    /// The API server gave no token.
    #[error("the cluster gave its user no token")]
    NoToken,
    /// The kubeconfig could not be read or written.
    #[error("cannot make a kubeconfig for a user of the cluster")]
    Kubeconfig(#[source] io::Error),
    /// The administrator's kubeconfig is none.
    #[error("cannot make a kubeconfig for a user of the cluster")]
    Form(#[source] serde_yaml::Error),
}

/// A user with all rights.
#[derive(Debug)]
pub struct User {
    /// By which they reach the cluster.
    pub kubeconfig: PathBuf,
}

impl User {
    /// The name under which the API server knows them.
    #[must_use]
    pub fn name() -> String {
        service_account(NAMESPACE, NAME)
    }

    /// Makes the user, with a kubeconfig like the administrator's in `folder`.
    ///
    /// # Errors
    /// When the API server refuses or a file cannot be used.
    pub async fn create(client: &Client, administrators: &Path, folder: &Path) -> Result<Self, UserError> {
        let refused = |source| UserError::Create(Box::new(source));
        let parameters = PostParams::default();
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), NAMESPACE);
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(NAME.to_owned());
        accounts.create(&parameters, &account).await.map_err(refused)?;
        let mut binding = ClusterRoleBinding::default();
        binding.metadata.name = Some(NAME.to_owned());
        "ClusterRole".clone_into(&mut binding.role_ref.kind);
        "cluster-admin".clone_into(&mut binding.role_ref.name);
        "rbac.authorization.k8s.io".clone_into(&mut binding.role_ref.api_group);
        binding.subjects = Some(vec![k8s_openapi::api::rbac::v1::Subject {
            kind: "ServiceAccount".to_owned(),
            name: NAME.to_owned(),
            namespace: Some(NAMESPACE.to_owned()),
            ..Default::default()
        }]);
        Api::all(client.clone()).create(&parameters, &binding).await.map_err(refused)?;
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_LIFETIME), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request(NAME, &parameters, &request).await.map_err(refused)?;
        let token = answer.status.ok_or(UserError::NoToken)?.token;
        let text = fs::read_to_string(administrators).map_err(UserError::Kubeconfig)?;
        let kubeconfig = with_token(serde_yaml::from_str(&text).map_err(UserError::Form)?, &token);
        let path = folder.join("bench-user.kubeconfig");
        fs::write(&path, kubeconfig.to_string()).map_err(UserError::Kubeconfig)?;
        Ok(Self { kubeconfig: path })
    }
}

/// The name of a service account as a user of the API server.
#[must_use]
pub fn service_account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The same kubeconfig, with a token in place of a certificate.
fn with_token(mut kubeconfig: Value, token: &str) -> Value {
    for user in kubeconfig["users"].as_array_mut().into_iter().flatten() {
        user["user"] = json!({"token": token});
    }
    kubeconfig
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrators_certificate_is_not_the_users() {
        let administrators = json!({
            "clusters": [{"name": "sandbox"}],
            "users": [{"name": "admin", "user": {"client-certificate-data": "YQ=="}}],
        });
        let expected = json!({
            "clusters": [{"name": "sandbox"}],
            "users": [{"name": "admin", "user": {"token": "abc"}}],
        });
        assert_eq!(with_token(administrators, "abc"), expected);
    }
}
