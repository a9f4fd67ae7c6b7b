//! Any split of the input into reads gives the same events.

use evenkeel_h1::{BodyOut, Method};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::connection::{Side, Trace, read};
use crate::generate::{mutated, request, response};

fn out() -> impl Strategy<Value = BodyOut> {
    prop_oneof![Just(BodyOut::Chunked), Just(BodyOut::Plain)]
}

/// Compares the trace of the stream in one piece with that in several.
///
/// A stream that is refused may be refused earlier or later depending on the pieces, and a head that is
/// both broken and cut short may count as either; the messages completed before it are the same always.
fn compare(side: Side, stream: &[u8], cuts: &[usize], out: BodyOut) -> Trace {
    let whole = read(side, stream, &[], out);
    let every: Vec<usize> = (0..stream.len()).collect();
    for cuts in [cuts, &every] {
        let split = read(side, stream, cuts, out);
        assert_eq!(whole.messages, split.messages);
        assert_eq!(whole.is_clean(), split.is_clean(), "{whole:?} {split:?}");
        if whole.error.is_none() && split.error.is_none() {
            assert_eq!(whole, split);
        }
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_requests(messages in vec(request(), 1..4), cuts in vec(any::<usize>(), 0..8), out in out()) {
        let trace = compare(Side::Requests, &messages.concat(), &cuts, out);
        prop_assert!(trace.is_clean(), "{trace:?}");
        prop_assert_eq!(trace.messages.len(), messages.len());
    }

    #[test]
    fn mutated_requests(messages in vec(mutated(request()), 1..3), cuts in vec(any::<usize>(), 0..8), out in out()) {
        compare(Side::Requests, &messages.concat(), &cuts, out);
    }

    #[test]
    fn valid_responses(messages in vec(response(), 1..4), cuts in vec(any::<usize>(), 0..8), out in out()) {
        let trace = compare(Side::Responses(Method::Get), &messages.concat(), &cuts, out);
        prop_assert!(trace.is_clean(), "{trace:?}");
    }

    #[test]
    fn mutated_responses(messages in vec(mutated(response()), 1..3), cuts in vec(any::<usize>(), 0..8), out in out()) {
        compare(Side::Responses(Method::Get), &messages.concat(), &cuts, out);
    }
}
