//! Who gets a token, and how Entra ID says that somebody does not: without I/O.

use std::collections::BTreeMap;

use hyper::StatusCode;
use jiff::Timestamp;
use jwt_compact::{
    AlgorithmExt, Claims, Header,
    alg::{Hs256, Hs256Key},
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ServicePrincipal;

/// What a service principal asks for a token with.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// What a scope ends with that means all that the application was allowed in advance; no other has a meaning here.
const DEFAULT_SCOPE: &str = "/.default";

/// Scopes that clients add and that mean nothing where no person signs in.
const PERSONAL_SCOPES: [&str; 3] = ["openid", "offline_access", "profile"];

/// The resources that there are tokens for.
const RESOURCES: [&str; 2] = ["https://storage.azure.com", "https://management.azure.com"];

/// How long a token is good for, in seconds.
const LIFETIME: i64 = 3600;

/// Why there is no token.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The word of OAuth.
    error: &'static str,
    /// The number of Entra ID.
    code: u32,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, code: u32, text: String) -> Self {
        Self { status, error, code, text }
    }

    pub(super) fn of_tenant(tenant: &str) -> Self {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the \
             correct cloud. Check with your subscription administrator, this may happen if there are no active \
             subscriptions for the tenant."
        );
        Self::new(StatusCode::BAD_REQUEST, "invalid_tenant", 90002, text)
    }

    /// The answer as clients read it: JSON, which they show to people from its beginning on.
    pub(super) fn body(&self, now: Timestamp) -> String {
        let [trace_id, correlation_id] = [(); 2].map(|()| Uuid::new_v4().to_string());
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let body = RefusalBody {
            error: self.error,
            error_description: format!(
                "AADSTS{}: {} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}",
                self.code, self.text
            ),
            error_codes: [self.code],
            timestamp,
            trace_id,
            correlation_id,
            error_uri: format!("https://{}/error?code={}", super::HOST, self.code),
        };
        // Texts and numbers have a form in JSON.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// The fields of a refusal, in Entra ID's order.
#[derive(Serialize)]
struct RefusalBody {
    error: &'static str,
    error_description: String,
    error_codes: [u32; 1],
    timestamp: String,
    trace_id: String,
    correlation_id: String,
    error_uri: String,
}

/// Answers a request for a token on the endpoint of `tenant`.
pub(super) fn token(
    principals: &[ServicePrincipal],
    tenant: &str,
    form: &BTreeMap<String, String>,
    now: Timestamp,
    key: &Hs256Key,
) -> Result<Value, Refusal> {
    let bad = |error, code, text| Refusal::new(StatusCode::BAD_REQUEST, error, code, text);
    let field = |name: &str| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let required = |name: &str| {
        field(name).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            bad("invalid_request", 900_144, text)
        })
    };
    if !principals.iter().any(|principal| principal.tenant_id == tenant) {
        return Err(Refusal::of_tenant(tenant));
    }
    let grant_type = required("grant_type")?;
    if grant_type != CLIENT_CREDENTIALS {
        let text = format!("The app requested an unsupported grant type '{grant_type}'.");
        return Err(bad("unsupported_grant_type", 70003, text));
    }
    let client = required("client_id")?;
    let Some(principal) =
        principals.iter().find(|principal| principal.tenant_id == tenant && principal.client_id == client)
    else {
        let text = format!(
            "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user in the \
             tenant. You may have sent your authentication request to the wrong tenant."
        );
        return Err(bad("unauthorized_client", 700_016, text));
    };
    let unauthorized = |code, text| Refusal::new(StatusCode::UNAUTHORIZED, "invalid_client", code, text);
    let Some(secret) = field("client_secret") else {
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(unauthorized(7_000_218, text.to_owned()));
    };
    if secret != principal.client_secret {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
             the client secret ID, for a secret added to app '{client}'."
        );
        return Err(unauthorized(7_000_215, text));
    }
    let resource = resource(required("scope")?)?;
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "ext_expires_in": LIFETIME,
        "access_token": signed(claims(principal, resource, now), key),
    }))
}

/// The one resource that a scope is for.
fn resource(scope: &str) -> Result<&str, Refusal> {
    let bad = |error, code, text| Refusal::new(StatusCode::BAD_REQUEST, error, code, text);
    let mut resources = scope.split_whitespace().filter(|word| !PERSONAL_SCOPES.contains(word));
    let (Some(wanted), None) = (resources.next(), resources.next()) else {
        let text =
            format!("The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid.");
        return Err(bad("invalid_scope", 70011, text));
    };
    let Some(resource) = wanted.strip_suffix(DEFAULT_SCOPE) else {
        let text = format!(
            "The provided value for scope {wanted} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier (application ID URI)."
        );
        return Err(bad("invalid_scope", 1_002_012, text));
    };
    // Clients write `https://management.azure.com//.default`, as the resource's own name ends with a slash.
    let resource = resource.trim_end_matches('/');
    if !RESOURCES.contains(&resource) {
        let text = format!("The resource principal named {resource} was not found in the tenant.");
        return Err(bad("invalid_resource", 500_011, text));
    }
    Ok(resource)
}

fn claims(principal: &ServicePrincipal, resource: &str, now: Timestamp) -> Value {
    let issuer = format!("https://sts.windows.net/{}/", principal.tenant_id);
    let now = now.as_second();
    json!({
        "aud": resource,
        "iss": issuer,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
        "appid": principal.client_id,
        "appidacr": "1",
        "idp": issuer,
        "oid": principal.client_id,
        "sub": principal.client_id,
        "tid": principal.tenant_id,
        "ver": "1.0",
    })
}

/// A token. Nobody here has the key to check it with: it is signed all the same, so that it has the form of one.
fn signed(claims: Value, key: &Hs256Key) -> String {
    let header = Header::empty().with_token_type("JWT");
    // Texts and numbers have a form in JSON.
    Hs256.token(&header, &Claims::new(claims), key).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jwt_compact::UntrustedToken;

    use super::*;

    fn principal() -> ServicePrincipal {
        ServicePrincipal {
            subscription_id: "sub".to_owned(),
            tenant_id: "ten".to_owned(),
            client_id: "cli".to_owned(),
            client_secret: "s3cr3t".to_owned(),
        }
    }

    fn ask(tenant: &str, changes: &[(&str, &str)]) -> Result<Value, Refusal> {
        let mut form: BTreeMap<String, String> = [
            ("grant_type", "client_credentials"),
            ("client_id", "cli"),
            ("client_secret", "s3cr3t"),
            ("scope", "https://storage.azure.com/.default openid offline_access profile"),
        ]
        .iter()
        .chain(changes)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        form.retain(|_, value| !value.is_empty());
        token(&[principal()], tenant, &form, Timestamp::from_second(1_700_000_000).unwrap(), &Hs256Key::new(b"key"))
    }

    #[test]
    fn who_proves_to_be_the_principal_gets_a_token_for_what_was_asked_for() {
        let answer = ask("ten", &[]).unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let token = UntrustedToken::new(token).unwrap();
        let token = Hs256.validator::<Value>(&Hs256Key::new(b"key")).validate(&token).unwrap();
        let claims = token.claims();
        assert_eq!(claims.custom["aud"], "https://storage.azure.com");
        assert_eq!(claims.custom["iss"], "https://sts.windows.net/ten/");
        assert_eq!(claims.expiration.map(|expiration| expiration.timestamp()), Some(1_700_003_600));
        assert!(ask("ten", &[("scope", "https://management.azure.com//.default")]).is_ok());
    }

    #[test]
    fn everything_that_is_wrong_is_refused_in_entra_ids_words() {
        for (tenant, change, status, error, number) in [
            ("other", ("scope", ""), 400, "invalid_tenant", "AADSTS90002: "),
            ("ten", ("grant_type", "password"), 400, "unsupported_grant_type", "AADSTS70003: "),
            ("ten", ("grant_type", ""), 400, "invalid_request", "AADSTS900144: "),
            ("ten", ("client_id", "other"), 400, "unauthorized_client", "AADSTS700016: "),
            (
                "ten",
                ("client_secret", "wrong"),
                401,
                "invalid_client",
                "AADSTS7000215: Invalid client secret provided.",
            ),
            ("ten", ("client_secret", ""), 401, "invalid_client", "AADSTS7000218: "),
            ("ten", ("scope", "https://storage.azure.com/user_impersonation"), 400, "invalid_scope", "AADSTS1002012: "),
            ("ten", ("scope", "openid"), 400, "invalid_scope", "AADSTS70011: "),
            ("ten", ("scope", "https://vault.azure.net/.default"), 400, "invalid_resource", "AADSTS500011: "),
        ] {
            let refusal = ask(tenant, &[change]).unwrap_err();
            let body: Value = serde_json::from_str(&refusal.body(Timestamp::UNIX_EPOCH)).unwrap();
            assert_eq!((refusal.status.as_u16(), body["error"].as_str()), (status, Some(error)), "{change:?}");
            let description = body["error_description"].as_str().unwrap();
            assert!(description.starts_with(number), "{description}");
        }
    }
}
