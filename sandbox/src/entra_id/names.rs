//! The names of the cluster's pods: the one that the stand-in has, and no other.

use std::net::IpAddr;

use simple_dns::{
    CLASS, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE,
    rdata::{A, RData},
};

/// Where names are asked for.
pub(super) const PORT: u16 = 53;

/// How long an answer may be kept, in seconds.
const LIFETIME: u32 = 30;

/// Answers a question of a pod's resolver; what is no question has no answer.
pub(super) fn answer(question: &[u8], host: &str, address: IpAddr) -> Option<Vec<u8>> {
    let asked = Packet::parse(question).ok().filter(|packet| !packet.has_flags(PacketFlag::RESPONSE))?;
    let mut answer = Packet::new_reply(asked.id());
    answer.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    let [question] = asked.questions.as_slice() else { return None };
    let is_ours = question.qname.to_string().eq_ignore_ascii_case(host);
    let wants_address = matches!(question.qtype, QTYPE::TYPE(TYPE::A)) && question.qclass == QCLASS::CLASS(CLASS::IN);
    match address {
        // A name that is there and has nothing of what was asked for is no error.
        _ if !is_ours => *answer.rcode_mut() = RCODE::NameError,
        IpAddr::V4(address) if wants_address => {
            let record = RData::A(A { address: address.into() });
            answer.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, LIFETIME, record));
        }
        _ => {}
    }
    answer.questions.push(question.clone());
    answer.build_bytes_vec_compressed().ok()
}

#[cfg(test)]
mod tests {
    use simple_dns::{Name, Question};

    use super::*;

    fn ask(name: &str, kind: TYPE) -> (RCODE, usize) {
        let mut question = Packet::new_query(7);
        let name = Name::new_unchecked(name);
        question.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
        let bytes = question.build_bytes_vec().unwrap();
        let answer = answer(&bytes, "login.example.test", [192, 0, 2, 1].into()).unwrap();
        let answer = Packet::parse(&answer).unwrap();
        assert_eq!(answer.id(), 7);
        (answer.rcode(), answer.answers.len())
    }

    #[test]
    fn the_name_is_known_and_no_other() {
        assert_eq!(ask("login.example.test", TYPE::A), (RCODE::NoError, 1));
        assert_eq!(ask("LOGIN.example.test", TYPE::A), (RCODE::NoError, 1));
        assert_eq!(ask("login.example.test", TYPE::AAAA), (RCODE::NoError, 0));
        assert_eq!(ask("login.example.test.demo.svc.cluster.local", TYPE::A), (RCODE::NameError, 0));
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        assert_eq!(answer(b"nonsense", "login.example.test", [192, 0, 2, 1].into()), None);
    }
}
