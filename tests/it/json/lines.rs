//! Lines that hold an answer and something else, and lines that are too long.

use crate::done::{Done, numbers};
use crate::env::{Run, TestEnv};

/// Writes for the record with index N what stands in the file `say-N`, and has it written in one
/// piece.
const WORKER: &str = r#"while IFS= read -r x; do
    id=${x#'{"id":'}
    cat "say-${id%%,*}" < /dev/null
done"#;

/// A worker that writes these for the records.
fn says(env: &TestEnv, options: &[&str], said: &[&[u8]]) -> Run {
    for (number, said) in said.iter().enumerate() {
        env.write(&format!("say-{number}"), said);
    }
    env.mtask().words("-j1 --protocol json").args(options).args(["--", "sh", "-c", WORKER])
}

fn run(env: &TestEnv, options: &[&str], said: &[&[u8]]) -> Done {
    says(env, options, said).run_on(numbers(said.len()))
}

/// Whether a line with this text is the worker's log.
#[track_caller]
fn assert_logged(done: &Done, text: &str) {
    done.check(
        done.stderr.lines().any(|line| line == text),
        &format!("{text:?} was not passed on as a line"),
    );
}

#[test]
fn an_answer_behind_text_comes_at_once() {
    let env = TestEnv::new();
    let said: [&[u8]; 3] = [
        b"Loading shards: 100%{\"id\":0,\"output\":\"A\"}\n",
        b"\r50%\r100%{\"id\": 1, \"output\": \"B\"}\n",
        b"{\"id\":2,\"output\":\"C\"}\n",
    ];
    let mut live = says(&env, &["--timeout", "60s"], &said).open();
    live.ask("0", "\"A\"");
    live.ask("1", "\"B\"");
    live.ask("2", "\"C\"");
    let done = live.wait();
    done.assert_status(0);
    assert_logged(&done, "Loading shards: 100%");
    done.assert_stderr_has("2 lines on stdout without an answer");
}

#[test]
fn text_before_an_answer_may_be_anything() {
    for (text, more) in [
        (&b"don't {stop} [1, {\"a\": 2}] "[..], &b""[..]),
        (b"{\"level\":\"info\",\"msg\":\"{\"}", b""),
        (b"{\"level\":\"info\",\"id\":0}", b""),
        (b"{'id':0}{", b""),
        (b"{\"a\": {", b""),
        (b"\xef\xbb\xbf", b""),
        (b"\xff\xfe caf\xe9: \x1b[1m", b" "),
        (b"\0\0", b"\t"),
        (b"  50% | ", b"\r"),
        (b"  50% {\"id\":0,\"output\":1} | ", b""),
    ] {
        for answer in [
            r#"{"id":0,"output":[1,{"id":0}]}"#,
            "{ \"id\" :\t0 , \"ms\" : 3 , \"output\" : [1,{\"id\":0}] }",
            r#"{"output":[1,{"id":0}],"id":0}"#,
            r#"{"ms":{"id":1},"id":0,"output":[1,{"id":0}]}"#,
        ] {
            let line = [text, answer.as_bytes(), more, b"\n"].concat();
            run(&TestEnv::new(), &[], &[&line]).assert_output("[1,{\"id\":0}]\n");
        }
    }
}

#[test]
fn an_error_behind_text_is_one_and_what_is_no_json_fails_its_record() {
    let said: [&[u8]; 3] = [
        b"oh {\"id\":0,\"error\":\"no luck\"}\n",
        b"oh {\"id\":1,\"output\":NaN}\n",
        b"oh {\"output\":1,\"error\":2,\"id\":2}\n",
    ];
    let done = run(&TestEnv::new(), &["--on-error", "ignore"], &said);
    done.assert_status(0);
    let kinds: Vec<_> =
        (done.lines().into_iter()).map(|line| done.parse(line)["mtask_error"].clone()).collect();
    assert_eq!(kinds, ["worker_error", "bad_answer", "bad_answer"]);
    let why = done.parse(done.lines()[1])["message"].to_string();
    done.check(
        why.contains("JSON has no NaN"),
        "the message does not say why",
    );
}

#[test]
fn a_log_line_that_mentions_a_record_is_no_answer_and_harms_none() {
    for log in [
        r#"INFO {"id":0,"event":"x"}"#,
        r#"DEBUG got {"id":0,"input":0}"#,
        r#"DEBUG got [{"id":0,"input":{"output":1}}]"#,
        r#"INFO {"event":{"id":0,"output":1},"id":0}"#,
        r#"INFO {"event":"{\"id\":0,\"output\":1}"}"#,
        r#"{"level":"info","event":{"id":0,"output":1}}"#,
        r#"INFO {"id":7,"output":1}"#,
        r#"INFO {"id":"0","output":1}"#,
        "INFO id 0, output 1: {id:0,output:1}",
    ] {
        let said = format!("{log}\n{{\"id\":0,\"output\":\"true\"}}\n");
        let done = run(&TestEnv::new(), &[], &[said.as_bytes()]);
        done.assert_output("\"true\"\n");
        assert_logged(&done, log);
    }
}

/// A record may be anything, and a worker may show it.
#[test]
fn what_a_log_line_quotes_is_no_answer() {
    let many = r#"{"id":0,"output":"EVIL"}"#.repeat(300);
    for log in [
        r#"DEBUG {'id': 0, 'input': 'look: {"id":0,"output":"EVIL"} '}"#,
        r#"DEBUG {"id": 0, "input": 'look: {"id":0,"output":"EVIL"}'}"#,
        r#"{'id': 0, 'input': 'look: {"id":0,"error":"EVIL"}'}"#,
        r#"DEBUG {"id":0,"output":"EVIL"} {"a":1}"#,
        r#"DEBUG {"id":0,"output":"EVIL"} {"id":7,"output":1}"#,
        r#"DEBUG {"id":0,"output":"EVIL"} {"id":0,"output":"EVIL"}."#,
        r#"DEBUG {"id":0,"output":"EVIL"},"#,
        r#"DEBUG {"id":0,"output":"EVIL"} {"#,
        r#"DEBUG {"id":0,"output":"EVIL"} {"a":"#,
        r#"DEBUG '{"id":0,"output":'"#,
        r#"DEBUG '{"id":0,"output":"EV'"#,
        &format!("DEBUG '{many}'"),
        // Such lines are not held, and may be too long.
        &format!("DEBUG '{many}' {}", "y".repeat(100_000)),
        &format!("DEBUG '{many}' {}'", "y".repeat(2_000_000)),
        &format!(
            r#"DEBUG {} '{{"id":0,"output":"EVIL"}}'"#,
            "y".repeat(2_000_000)
        ),
    ] {
        let said = format!("{log}\n{{\"id\":0,\"output\":\"true\"}}\n");
        let done = run(&TestEnv::new(), &["--max-record", "1M"], &[said.as_bytes()]);
        done.assert_output("\"true\"\n");
        done.assert_stderr_has("1 line on stdout without an answer");
        if log.len() < 1000 {
            assert_logged(&done, log);
        }
    }
}

#[test]
fn an_answer_that_was_shown_in_a_log_line_may_be_given_again() {
    let shown = b"100% {\"id\":0,\"output\":{\"a\":[1, 2]}}\n";
    for again in [
        &b"{\"id\":0,\"output\":{\"a\":[1, 2]}}\n"[..],
        b"{ \"id\" : 0 , \"output\" : {\"a\" : [1,2]} }\n",
        b"{\"output\":{\"a\":[1,2]},\"id\":0}\n",
        b"done {\"id\":0,\"output\":{\"a\":[1,2]}}\n",
    ] {
        let env = TestEnv::new();
        let next = b"{\"id\":1,\"output\":1}\n";
        // Also where the next record is answered in between.
        for said in [
            [&[&shown[..], again].concat()[..], next],
            [&shown[..], &[&next[..], again].concat()],
        ] {
            run(&env, &[], &said).assert_output("{\"a\":[1, 2]}\n1\n");
        }
    }
    // Which of two different ones is right nobody knows.
    let other = [&shown[..], b"{\"id\":0,\"output\":{\"a\":[12]}}\n"].concat();
    let done = run(&TestEnv::new(), &[], &[&other]);
    done.assert_status(123).assert_stderr_has("each record is to be answered once");
    // Nor may it be given once more than that, or twice on lines of their own.
    let again = b"{\"id\":0,\"output\":{\"a\":[1,2]}}\n";
    let done = run(
        &TestEnv::new(),
        &[],
        &[&[&shown[..], again, again].concat()],
    );
    done.assert_status(123).assert_stderr_has("each record is to be answered once");
    let twice = b"{\"id\":0,\"output\":1}\n".repeat(2);
    run(&TestEnv::new(), &[], &[&twice])
        .assert_status(123)
        .assert_stderr_has("each record is to be answered once");
}

/// The copy comes when the record has been sent again, to the same process.
#[test]
fn an_error_that_was_shown_in_a_log_line_is_no_answer_to_the_next_attempt() {
    let error = r#"echo '{"id":0,"error":"busy"}'"#;
    let next = "read -r x";
    // Each that is shown may be given once more; what follows is an answer of its own.
    for (more, retries) in [("", "1"), (&*format!("{error}; {next};"), "2")] {
        let script = format!(
            r#"{next}; printf 'INFO answered '; {error}; {next}; {error}; {more}
            echo '{{"id":0,"output":"true"}}'; cat"#
        );
        TestEnv::new()
            .mtask()
            .args(["-j1", "--protocol", "json", "--retries", retries])
            .args(["--", "sh", "-c", &script])
            .run_on("1\n")
            .assert_output("\"true\"\n");
    }
}

#[test]
fn several_answers_may_stand_on_a_line() {
    let said: [&[u8]; 4] = [
        b"",
        b"{\"id\":1,\"output\":\"b\"}{\"id\":0,\"output\":\"a\"}\n",
        b"",
        b"go: {\"output\":\"d\",\"id\":3} {\"id\":3,\"output\":\"d\"}, {\"id\":2,\"error\":\"c\"}\n",
    ];
    let done = run(&TestEnv::new(), &["--window", "2"], &said);
    done.assert_status(123).assert_results_but(2, b"\"a\"\n\"b\"\n?\n\"d\"\n");
    done.assert_one_error(2, "worker_error");
}

#[test]
fn what_a_broken_answer_quotes_is_no_answer() {
    let said: [&[u8]; 2] = [
        b"",
        b"{\"id\":0,\"output\":'it {\"id\":1,\"output\":2}'}\n{\"id\":1,\"output\":\"b\"}\n",
    ];
    let done = run(&TestEnv::new(), &["--window", "2"], &said);
    done.assert_status(123).assert_results_but(0, b"?\n\"b\"\n");
    done.assert_one_error(0, "bad_answer");
}

#[test]
fn ready_may_be_followed_by_an_answer_on_its_line_and_the_last_line_lack_its_end() {
    let said: [&[u8]; 2] = [
        b"{\"ready\":true,\"concurrency\":2}{\"id\":0,\"output\":1}\n",
        b"end {\"id\":1,\"output\":2}",
    ];
    let done = run(&TestEnv::new(), &[], &said);
    done.assert_output("1\n2\n");
    done.assert_stderr_has("1 line on stdout");
}

#[test]
fn a_broken_answer_fails_its_record_wherever_its_id_stands() {
    for line in [
        r#"{"output":NaN,"id":0,"ms":3}"#,
        r#"{"ms":3,"id":0,"output":NaN,"meta":{"id":3}}"#,
        r#"{ "id" : 0 , "output" : NaN }"#,
        r#"{"output":1,"id":0} and more"#,
    ] {
        run(&TestEnv::new(), &[], &[format!("{line}\n").as_bytes()])
            .assert_status(123)
            .assert_one_error(0, "bad_answer");
    }
}

#[test]
fn an_answer_that_is_too_long_is_so_wherever_its_id_stands() {
    let long = "y".repeat(3000);
    let quoted = r#"\" } , \"id\":1, {\\"#.repeat(100);
    for line in [
        format!(r#"{{"id":0,"output":"{long}"}}"#),
        format!(r#" {{ "id" : 0, "output" : "{long}" }}"#),
        format!(r#"{{"output":"{long}","id":0}}"#),
        format!(r#"{{"output":["{quoted}",{{"id":1}}],"ms":1,"id":0,"x":"{long}"}}"#),
        format!(r#"{{"output":NaN,"error":"{long}","\u0069d" : 0}}"#),
        format!(r#"Loading {{x}}: {{"output":"{long}","id":0}}"#),
        format!(r#"{long}{{"id":0,"output":1}}"#),
    ] {
        let env = TestEnv::new();
        let line = format!("{line}\n");
        let said: [&[u8]; 2] = [line.as_bytes(), b"{\"id\":1,\"output\":2}\n"];
        let mut live = says(&env, &["--max-record", "1K"], &said).open();
        live.send("0");
        let answer = live.line();
        assert!(
            answer.contains("answer_too_large") && answer.contains("\"index\":0"),
            "{line}"
        );
        live.ask("1", "2");
        live.wait().assert_status(123);
    }
}

#[test]
fn a_log_line_that_is_too_long_is_a_log_line() {
    let long = "y".repeat(3000);
    for line in [
        format!(r#"INFO {{"id":0,"event":"{long}"}}"#),
        format!(r#"{{"level":"info","event":{{"id":0,"output":"{long}"}}}}"#),
        format!(r#"{{"event":"{{\"id\":0,\"output\":1","more":"{long}"}}"#),
        format!(r#"{{"output":"{long}","id":7}}"#),
        format!(r#"{{"output":"{long}","id":"0"}}"#),
        long.clone(),
    ] {
        let said = format!("{line}\n{{\"id\":0,\"output\":\"true\"}}\n");
        let done = run(&TestEnv::new(), &["--max-record", "1K"], &[said.as_bytes()]);
        done.assert_output("\"true\"\n");
        done.assert_stderr_has("1 line on stdout without an answer");
    }
}
