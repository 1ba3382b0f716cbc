//! What the server says of a store, without what differs each time.
//!
//! The messages are those of the stores' SDKs, and contain ids of requests, ports, names of temporary files and times, which
//! differ with each validation. The unit would say something new each time.

use std::sync::LazyLock;

use regex_lite::Regex;

/// What changes, and what takes its place. Ids that say who or what was refused, such as that of a tenant, stay.
static CHANGING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        // The SDK of AWS; a store that does not answer leaves them empty.
        (r"\b(?:RequestID|HostID): [^,\s]*, ", ""),
        // Azure Storage, at the end of its message.
        (r"\s*\bRequestId:\S+\s+Time:\d[^\s<]*", ""),
        // Microsoft Entra, in its text and beside it in the same answer.
        (r"\s*\bTrace ID: [0-9a-f-]+\s+Correlation ID: [0-9a-f-]+\s+Timestamp: [0-9-]+ [0-9:]+Z", ""),
        (r#",?\s*"(?:timestamp|trace_id|correlation_id)":\s*"[^"]*""#, ""),
        // The port of the own end of a connection, or the name of a plugin's socket.
        (r"\b(tcp|udp|unix) [^\s>]*->", "$1 "),
        (r"/plugin\d+", "/plugin"),
        // A certificate that is out of its time.
        (r"\bcurrent time \S+ is ", "the time is "),
    ];
    // Each of them is one, which the tests show.
    rules.into_iter().filter_map(|(rule, instead)| Some((Regex::new(rule).ok()?, instead))).collect()
});

/// Returns what stays the same of a message as long as its cause does.
pub(crate) fn lasting(message: &str) -> String {
    CHANGING
        .iter()
        .fold(message.to_owned(), |message, (changing, instead)| changing.replace_all(&message, *instead).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two messages of one cause, and what is told of both.
    fn assert_lasting(messages: [&str; 2], told: &str) {
        for message in messages {
            assert_eq!(lasting(message), told);
        }
    }

    #[test]
    fn the_ids_of_requests_to_s3_go() {
        assert_lasting(
            [
                "BackupStorageLocation \"default\" is unavailable: rpc error: code = Unknown desc = operation error S3: \
                 ListObjectsV2, https response error StatusCode: 403, RequestID: 4442587FB7D0A2F9, HostID: \
                 eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran+3Y=, api error InvalidAccessKeyId: The AWS \
                 Access Key Id you provided does not exist in our records.",
                "BackupStorageLocation \"default\" is unavailable: rpc error: code = Unknown desc = operation error S3: \
                 ListObjectsV2, https response error StatusCode: 403, RequestID: 17F0C5D41A2B3C4D, HostID: , api error \
                 InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records.",
            ],
            "BackupStorageLocation \"default\" is unavailable: rpc error: code = Unknown desc = operation error S3: ListObjectsV2, \
             https response error StatusCode: 403, api error InvalidAccessKeyId: The AWS Access Key Id you provided does not \
             exist in our records.",
        );
        // Other services, such as the one that gives out tokens, name no host.
        assert_eq!(
            lasting("https response error StatusCode: 400, RequestID: 1c8a2b-11, api error InvalidIdentityToken: no"),
            "https response error StatusCode: 400, api error InvalidIdentityToken: no"
        );
    }

    #[test]
    fn the_ids_of_requests_to_azure_storage_go() {
        assert_lasting(
            [
                "<Message>Server failed to authenticate the request.\nRequestId:4442587f-b01e-0012-3456-789abc000000\n\
                 Time:2026-01-31T10:20:30.1234567Z</Message>",
                "<Message>Server failed to authenticate the request.\nRequestId:91a2587f-b01e-0012-3456-789abc000000\n\
                 Time:2026-01-31T10:21:30.7654321Z</Message>",
            ],
            "<Message>Server failed to authenticate the request.</Message>",
        );
    }

    #[test]
    fn the_ids_of_requests_for_a_token_go_and_that_of_the_application_stays() {
        let body = |id: &str, time: &str| {
            format!(
                "ClientSecretCredential authentication failed.\n{{\n  \"error\": \"unauthorized_client\",\n  \
                 \"error_description\": \"AADSTS700016: Application with identifier '6731de76-14a6-49ae-97bc-6eba6914391e' was \
                 not found. Trace ID: {id} Correlation ID: {id} Timestamp: 2026-01-31 {time}Z\",\n  \"error_codes\": [\n    \
                 700016\n  ],\n  \"timestamp\": \"2026-01-31 {time}Z\",\n  \"trace_id\": \"{id}\",\n  \
                 \"correlation_id\": \"{id}\"\n}}"
            )
        };
        assert_lasting(
            [
                &body("0f2c8f1e-1b5e-4a3f-8d55-5a1b2c3d4e5f", "10:20:30"),
                &body("7a1d0c2b-9e8f-4b6a-a1c2-3d4e5f607182", "10:21:31"),
            ],
            "ClientSecretCredential authentication failed.\n{\n  \"error\": \"unauthorized_client\",\n  \
             \"error_description\": \"AADSTS700016: Application with identifier '6731de76-14a6-49ae-97bc-6eba6914391e' was \
             not found.\",\n  \"error_codes\": [\n    700016\n  ]\n}",
        );
    }

    #[test]
    fn the_own_ends_of_connections_go() {
        assert_lasting(
            [
                "Get \"http://10.0.0.5:9000/b?list-type=2\": read tcp 10.1.2.3:44312->10.0.0.5:9000: read: connection reset",
                "Get \"http://10.0.0.5:9000/b?list-type=2\": read tcp 10.1.2.9:51000->10.0.0.5:9000: read: connection reset",
            ],
            "Get \"http://10.0.0.5:9000/b?list-type=2\": read tcp 10.0.0.5:9000: read: connection reset",
        );
        assert_lasting(
            [
                "dial tcp: lookup minio.test: read udp 10.1.2.3:40001->10.152.183.10:53: i/o timeout",
                "dial tcp: lookup minio.test: read udp [fd00::3]:40002->10.152.183.10:53: i/o timeout",
            ],
            "dial tcp: lookup minio.test: read udp 10.152.183.10:53: i/o timeout",
        );
        assert_lasting(
            [
                "error reading from server: read unix @->/tmp/plugin1234567: EOF",
                "error reading from server: read unix @->/tmp/plugin89: EOF",
            ],
            "error reading from server: read unix /tmp/plugin: EOF",
        );
        let stays = "dial tcp 10.0.0.5:9000: connect: connection refused";
        assert_eq!(lasting(stays), stays);
    }

    #[test]
    fn the_time_at_which_a_certificate_was_not_valid_goes() {
        assert_lasting(
            [
                "x509: certificate has expired or is not yet valid: current time 2026-01-31T10:20:30Z is after 2026-01-01T00:00:00Z",
                "x509: certificate has expired or is not yet valid: current time 2026-01-31T10:21:30+01:00 is after \
                 2026-01-01T00:00:00Z",
            ],
            "x509: certificate has expired or is not yet valid: the time is after 2026-01-01T00:00:00Z",
        );
    }

    #[test]
    fn what_google_says_stays() {
        let message = "googleapi: Error 403: backup@project.iam.gserviceaccount.com does not have storage.objects.list access to \
                       the Google Cloud Storage bucket., forbidden";
        assert_eq!(lasting(message), message);
    }
}
