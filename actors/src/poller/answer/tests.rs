use super::*;
use crate::domain::Coins;

fn read(body: &str) -> Result<FetchedMap, AnswerFault> {
    let coins = Coins::new(&["btc", "bcc"]).unwrap();
    parse(body.as_bytes(), SwitchRules { coins, lower_case: false }, &Budget::new(None))
}

/// `name=coin…` of the entries to write, then `now_date`.
fn taken(body: &str) -> (String, Option<i64>) {
    let answer = read(body).unwrap_or_else(|fault| panic!("{body}: {fault}"));
    let entries = answer.map.part(0, 100).into_iter();
    let entries: Vec<_> = entries.map(|entry| format!("{}={}", entry.puname, entry.coin)).collect();
    (entries.join(" "), answer.now_date)
}

fn fault(body: &str) -> String {
    match read(body) {
        Ok(answer) => panic!("{body}: {answer:?}"),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn the_documented_shape_is_read() {
    let expected = ("alice=btc bob=bcc".to_owned(), Some(1513239055));
    for body in [
        r#"{"data":{"user_coin":{"alice":"btc","bob":"bcc"},"now_date":1513239055},"data":null}"#,
        r#"{"data":{"user_coin":{"x":"btc"},"user_coin":null,"user_coin":{"alice":"btc","bob":"bcc"},"now_date":1513239055}}"#,
        r#"{"err_no":0,"err_msg":"","data":{"user_coin":{"alice":"btc","bob":"bcc"},"now_date":1513239055}}"#,
        r#" {"data":{"now_date":1513239055,"user_coin":{"bob":"bcc","alice":"btc"}},"err_msg":null,"err_no":0} "#,
        r#"{"Err_No":0,"x":[{}],"DATA":{"server":"w1","User_Coin":{"bob":"bcc","alice":"btc"},"n":5,"NOW_DATE":1513239055}}"#,
        r#"{"data":{"user_coin":{"alice":"bcc","alice":"btc","bob":"bcc"},"now_date":1,"now_date":1513239055}}"#,
        r#"{"err_no":null,"data":{"user_coin":{"\u0061lice":"b\u0074c","bob":"bcc"},"now_date":1513239055}}"#,
    ] {
        assert_eq!(taken(body), expected, "{body}");
        assert_eq!(read(body).unwrap().warning, None);
    }
}

#[test]
fn half_a_surrogate_pair_is_one_bad_character_of_one_entry() {
    let body = r#"{"data":{"user_coin":{"a\ud83d":"btc","b":"\udc00","c":"b\u0074c"},"now_date":5,"x\ud800":"\ud800"}}"#;
    assert_eq!(taken(body), ("c=btc".to_owned(), Some(5)));
    let answer = read(body).unwrap();
    assert_eq!(answer.map.bad().shown[0].0, "\"a\u{fffd}\"");
    assert!(answer.map.bad().shown[1].1.contains("the coin \"\u{fffd}\" is none of"));
    let sample = r#"{"data":{"a\ud83d\ud83d":"btc","b":"btc"},"err_msg":"\udfff"}"#;
    assert_eq!(taken(sample).0, "b=btc");
    assert_eq!(read(sample).unwrap().map.bad().shown[0].0, "\"a\u{fffd}\u{fffd}\"");
}

#[test]
fn no_change_may_be_an_object_a_list_or_null() {
    for (empty, warning) in [
        ("{}", None),
        ("[]", Some(ShapeWarning::EmptyIsNoObject)),
        ("null", Some(ShapeWarning::EmptyIsNoObject)),
    ] {
        let body = format!(r#"{{"err_no":0,"data":{{"user_coin":{empty},"now_date":5}}}}"#);
        assert_eq!(taken(&body), (String::new(), Some(5)));
        assert_eq!(read(&body).unwrap().warning, warning);
    }
}

#[test]
fn the_shape_of_the_sample_is_read() {
    for (body, entries) in [
        (r#"{"err_no":0,"err_msg":null,"data":{"alice":"btc","bob":"bcc"}}"#, "alice=btc bob=bcc"),
        (
            r#"{"err_no":0,"err_msg":null,"data":{"user_coin":"btc","now_date":"bcc"}}"#,
            "now_date=bcc user_coin=btc",
        ),
        (r#"{"err_no":0,"err_msg":null,"data":{"alice":"btc","now_date":7}}"#, "alice=btc"),
        (r#"{"err_no":0,"data":[]}"#, ""),
        (r#"{"err_no":-0,"data":[]}"#, ""),
        (r#"{"err_no":0,"data":{}}"#, ""),
    ] {
        assert_eq!(taken(body), (entries.to_owned(), None), "{body}");
        assert_eq!(read(body).unwrap().warning, Some(ShapeWarning::SampleShape));
    }
}

#[test]
fn a_failure_wins_wherever_it_stands() {
    for body in [
        r#"{"err_no":7,"err_msg":"db\ndown","data":{"user_coin":{"a":"btc"},"now_date":5}}"#,
        r#"{"data":{"user_coin":{"a":"btc"},"now_date":5},"err_msg":"db\ndown","err_no":7}"#,
        r#"{"err_no":7,"err_msg":"db\ndown","data":null}"#,
        r#"{"err_no":7,"err_msg":"db\ndown","data":""}"#,
        r#"{"err_no":7,"err_msg":"db\ndown","data":false}"#,
        r#"{"err_no":7,"err_msg":"db\ndown"}"#,
    ] {
        assert_eq!(fault(body), "says err_no 7, err_msg 'db\\ndown'", "{body}");
    }
}

#[test]
fn an_answer_that_is_no_map_has_its_fault() {
    for (body, told) in [
        ("", "EOF"),
        ("<html>", "expected value"),
        ("[]", "invalid type: sequence"),
        ("null", "invalid type: null"),
        ("{}", "no data"),
        (r#"{"err_no":0}"#, "no data"),
        (r#"{"err_no":0,"data":null}"#, "no data"),
        (r#"{"err_no":0,"data":5}"#, "not an object"),
        (r#"{"err_no":0,"data":["a"]}"#, "not an object"),
        (r#"{"err_no":0,"data":{"now_date":5}}"#, "no user_coin"),
        (r#"{"err_no":0,"data":{"user_coin":["btc"],"now_date":5}}"#, "user_coin is not an object"),
        (r#"{"err_no":0,"data":{"user_coin":5,"now_date":5}}"#, "user_coin is not an object"),
        (r#"{"err_no":0,"data":{"user_coin":5,"alice":"btc"}}"#, "user_coin is not an object"),
        (r#"{"err_no":0,"data":{"alice":"btc","user_coin":5}}"#, "user_coin is not an object"),
        (r#"{"data":{"user_coin":["x"],"msg":"y","now_date":5}}"#, "user_coin is not an object"),
        (r#"{"data":{"user_coin":5,"user_coin":{"a":"btc"}}}"#, "user_coin is not an object"),
        (r#"{"data":5,"data":{"alice":"btc"}}"#, "not an object"),
        (r#"{"err_no":"0","data":{"user_coin":{},"now_date":5}}"#, "not an integer"),
        (r#"{"err_no":0.5,"data":{"user_coin":{},"now_date":5}}"#, "not an integer"),
        (r#"{"err_no":-0.0,"data":{"user_coin":{},"now_date":5}}"#, "not an integer"),
        (r#"{"err_no":0,"data":{"user_coin":{},"now_date":"5"}}"#, "now_date"),
        (r#"{"err_no":0,"data":{"user_coin":{},"now_date":5.5}}"#, "now_date"),
        (r#"{"err_no":0,"data":{"user_coin":{},"now_date":9223372036854775808}}"#, "now_date"),
        (r#"{"err_no":0,"data":{"user_coin":{"a":"btc"}"#, "EOF"),
        (r#"{"err_no":0,"data":{"user_coin":{"a":"btc"}}} {}"#, "trailing"),
    ] {
        assert!(fault(body).contains(told), "{body}: {}", fault(body));
    }
}

#[test]
fn a_parser_that_quotes_cannot_forge_a_line() {
    let told = fault("{\"err_no\":\"\\u001b[2J\\n\"}");
    assert!(!told.contains(char::is_control), "{told}");
}

#[test]
fn one_bad_entry_leaves_the_others() {
    let body = r#"{"err_no":0,"data":{"user_coin":{"a":"btc","b":5,"c":{"x":["y"]},"d":null,"e":"ltc","f/g":"btc","h":"\ud800","i\udc00":"btc","j":"bcc"},"now_date":5}}"#;
    assert_eq!(taken(body), ("a=btc j=bcc".to_owned(), Some(5)));
    assert_eq!(read(body).unwrap().map.bad().count, 7);
}
