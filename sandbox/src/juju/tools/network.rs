//! `network-get`, `unit-get`, `open-port`, `close-port`, `opened-ports`.

use serde_json::{Value, json};

use super::flags::{switch, value};
use super::relation_id::{RELATION, given_or_own};
use super::{Answer, Call, Context, ToolError, failed, no_more, usage};

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[
        RELATION,
        switch(&["bind-address"]),
        switch(&["ingress-address"]),
        switch(&["egress-subnets"]),
        switch(&["primary-address"]),
    ])?;
    let id = given_or_own(context, &parsed)?;
    let endpoint = match (parsed.positional.first(), id) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(id)) => context.endpoint_of(id).unwrap_or_default().to_owned(),
        (None, None) => return usage("no arguments specified"),
    };
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    if endpoint != "juju-info" && context.application().metadata().endpoint(&endpoint).is_none() {
        return failed(format!("no network config found for binding {endpoint:?}"));
    }
    let address = &context.own_unit().address;
    let subnets = json!([format!("{address}/32")]);
    let asked: Vec<(&str, Value)> =
        [("bind-address", json!(address)), ("ingress-address", json!(address)), ("egress-subnets", subnets.clone())]
            .into_iter()
            .filter(|(name, _)| parsed.is_set(name) || (*name == "bind-address" && parsed.is_set("primary-address")))
            .collect();
    let answer = match asked.as_slice() {
        [] => json!({
            "bind-addresses": [{
                "mac-address": "",
                "interface-name": "",
                "addresses": [{"hostname": "", "value": address, "cidr": ""}],
            }],
            "egress-subnets": subnets,
            "ingress-addresses": [address],
        }),
        [(_, only)] => only.clone(),
        several => several.iter().cloned().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    Ok(writer.write(&answer))
}

pub(super) fn unit_get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[])?;
    let Some(setting) = parsed.positional.first() else { return usage("no setting specified") };
    if !["private-address", "public-address"].contains(&setting.as_str()) {
        return usage(format!("unknown setting {setting:?}"));
    }
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    Ok(writer.write(&json!(context.own_unit().address)))
}

/// `80`, `80/tcp`, `8000-8080/udp`, `icmp`, written in one way.
fn port_range(text: &str) -> Option<String> {
    if text.eq_ignore_ascii_case("icmp") {
        return Some("icmp".to_owned());
    }
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = match ports.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(ports)?, port(ports)?),
    };
    if first > last || !["tcp", "udp"].contains(&protocol.as_str()) {
        return None;
    }
    Some(if first == last { format!("{first}/{protocol}") } else { format!("{first}-{last}/{protocol}") })
}

fn ports(context: &mut Context<'_>, call: &Call<'_>, open: bool) -> Result<Answer, ToolError> {
    let name = if open { "open-port" } else { "close-port" };
    let parsed = call.parse(&[value(&["endpoints"]), value(&["format"])])?;
    let Some(text) = parsed.positional.first() else { return usage("no port or range specified") };
    let Some(range) = port_range(text) else {
        return usage(format!("expected <port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp; got {text:?}"));
    };
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    if open {
        context.ports_mut().insert(range);
    } else {
        context.ports_mut().remove(&range);
    }
    let deprecated = parsed.get("format").map(|_| format!("--format flag deprecated for command {name:?}\n"));
    Ok(Answer { stderr: deprecated.unwrap_or_default(), ..Answer::silent() })
}

pub(super) fn open_port(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    ports(context, call, true)
}

pub(super) fn close_port(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    ports(context, call, false)
}

pub(super) fn opened_ports(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[switch(&["endpoints"])])?;
    no_more(&parsed.positional)?;
    // What this hook opens is not open before it ends.
    Ok(writer.write(&json!(context.own_unit().ports)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_in_one_way() {
        assert_eq!(port_range("80"), Some("80/tcp".to_owned()));
        assert_eq!(port_range("80-80/UDP"), Some("80/udp".to_owned()));
        assert_eq!(port_range("8000-8080/tcp"), Some("8000-8080/tcp".to_owned()));
        for bad in ["", "0", "x", "9-8", "80/sctp", "70000"] {
            assert_eq!(port_range(bad), None, "{bad}");
        }
    }
}
