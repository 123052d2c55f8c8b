//! `--format jsonl`: each record is one JSON value, passed on as it was written.

use crate::done::{numbers, records};
use crate::env::{TestEnv, mtask};

#[test]
fn valid_json_is_passed_on_byte_for_byte() {
    let input = records([
        r#"{"z":1,"a":2,"z":3}"#,
        "123456789012345678901234567890.000000000000000000010e-5",
        r#""\u00e9\/é""#,
        r#"{"b":1,  "a":[ 1,2 ]}"#,
        "null",
        "-0",
        "[]",
    ]);
    mtask("-j2 --format jsonl")
        .echo()
        .run_on(&input)
        .assert_output(input)
        .assert_stderr_empty();
}

#[test]
fn white_space_around_a_value_is_left_out() {
    mtask("--format jsonl")
        .echo()
        .run_on(" {\"a\": 1}\t\r\n 2")
        .assert_output("{\"a\": 1}\n2\n");
}

#[test]
fn blank_lines_and_a_bom_are_no_records() {
    let env = TestEnv::new();
    env.mtask()
        .words("--format jsonl")
        .worker(["--suffix", " "])
        .run_on("\u{feff}{\"a\":1}\n\n \t\r\n{\"a\":2}\n\n")
        .assert_output("{\"a\":1} \n{\"a\":2} \n");
}

#[test]
fn a_bom_alone_is_empty_input() {
    mtask("--format jsonl").echo().run_on("\u{feff}\n\n").assert_output("");
}

#[test]
fn a_malformed_line_fails_in_its_place_with_line_and_column() {
    let input = "{\"a\":1}\n\n{\"a\":}\n{\"a\":3}\n";
    let env = TestEnv::new();
    for jobs in ["-j1", "-j3"] {
        let done = env.mtask().args([jobs, "--format", "jsonl"]).echo().run_on(input);
        done.assert_status(123).assert_results_but(1, b"{\"a\":1}\n?\n{\"a\":3}\n");
        let error = done.assert_one_error(1, "invalid_input");
        assert_eq!(error["input"], "{\"a\":}");
        assert_eq!(error["attempts"], 0);
        let message = error["message"].as_str().unwrap_or_default();
        // The third line of the input, though only the second record.
        done.check(
            message.contains("line 3"),
            "the message does not name the line",
        );
        done.check(
            message.contains("column"),
            "the message does not name the column",
        );
    }
}

#[test]
fn of_several_files_the_one_with_the_malformed_line_is_named() {
    let env = TestEnv::new();
    env.write("a.jsonl", "0\n1\n");
    env.write("b.jsonl", "[2\n");
    for (inputs, index, place) in [
        (
            &["-i", "a.jsonl", "-i", "b.jsonl"][..],
            2,
            "a list in b.jsonl at line 1 column 2",
        ),
        (
            &["-i", "a.jsonl", "-i", "-"],
            2,
            "a list in standard input at line 1 column 2",
        ),
        (&["-i", "b.jsonl"], 0, "a list at line 1 column 2"),
    ] {
        let done = env.mtask().words("-j1 --format jsonl").args(inputs).echo().run_on("[2\n");
        let error = done.assert_status(123).assert_one_error(index, "invalid_input");
        let message = error["message"].as_str().unwrap_or_default();
        done.check(message.ends_with(place), "the message has another place");
        done.assert_stderr_has(place);
    }
}

#[test]
fn a_malformed_line_never_reaches_a_worker() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("-j2 --format jsonl")
        .echo()
        .run_on(format!("1\n[2 @touch:{}\n3\n", env.path("reached")));
    done.assert_status(123).assert_one_error(1, "invalid_input");
    assert!(!env.exists("reached"), "a worker got it");
}

#[test]
fn what_is_no_single_json_value_is_invalid() {
    for line in [
        "1 2",
        "NaN",
        "{'a':1}",
        "[1,]",
        "\"\t\"",
        "01",
        "{\"a\":1",
        "nul",
        "\u{feff}1",
    ] {
        let input = format!("0\n{line}\n2\n");
        mtask("-j1 --format jsonl")
            .echo()
            .run_on(input)
            .assert_status(123)
            .assert_results_but(1, b"0\n?\n2\n")
            .assert_one_error(1, "invalid_input");
    }
}

#[test]
fn lines_of_text_are_told_from_json_with_a_mistake() {
    for (line, is_text) in [
        ("x y", true),
        ("2026-01-02 begun", true),
        ("\"a\",\"b\"", true),
        ("{\"a\":}", false),
        (" [1,", false),
    ] {
        let env = TestEnv::new();
        let done = env.mtask().words("-j1 --format jsonl").echo().run_on(format!("{line}\n"));
        done.assert_status(123).check(
            done.stderr.contains("; for lines of text use --format lines; its error record")
                == is_text,
            "the way out is missing, or wrong",
        );
    }
}

#[test]
fn the_wrong_kind_of_file_is_named() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x33\n\x54\xff\n";
    let utf_16: Vec<u8> = "\u{feff}{\"a\":1}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let env = TestEnv::new();
    env.write("x.gz", gzip);
    for (input, said, failed) in [
        (
            &gzip[..],
            "standard input is compressed with gzip: unpack it with zcat",
            "invalid UTF-8",
        ),
        (
            &utf_16,
            "standard input is UTF-16: iconv -f UTF-16 -t UTF-8",
            "(it is UTF-16) at",
        ),
        (
            b"{\"a\": NaN}\n",
            "JSON has no NaN at line 1 column 7",
            "JSON has no NaN",
        ),
        (
            b"\xef\xbb\xbf1\n\xef\xbb\xbf{}\n",
            "a byte order mark in the middle of a file at line 2",
            "a byte order mark",
        ),
        (
            b"[\n  {\"v\": 1},\n  {\"v\": 2}\n]\n",
            "jq -c '.[]' each element",
            "EOF",
        ),
    ] {
        let run = env.mtask().args(["-j1", "--format", "jsonl"]).echo().stdin(input);
        let done = run.run();
        done.assert_status(123).assert_stderr_has(said).assert_stderr_has(failed);
        done.check(!done.stderr.contains("--format lines"), "it is no text");
    }
    let done = env.mtask().args(["-j1", "--format", "jsonl", "-i", "x.gz"]).echo().run();
    done.assert_stderr_has("x.gz is compressed with gzip: zcat x.gz | mtask … unpacks it");
    // Any bytes are lines; they are passed on, but named.
    let done = env.mtask().args(["-j1"]).echo().stdin(gzip).run();
    done.assert_status(0).assert_stdout(gzip).assert_stderr_has("compressed with gzip");
}

#[test]
fn an_array_that_is_the_only_record_is_named() {
    let run = |input: &str| {
        let run = TestEnv::new();
        run.mtask().args(["-j1", "--format", "jsonl"]).echo().stdin(input).run()
    };
    let done = run("[{\"v\": 1}, {\"v\": 2}]");
    done.assert_status(0)
        .assert_stderr_has("is one JSON array, and so one record: jq -c '.[]'");
    run("[{\"v\": 1}]\n[{\"v\": 2}]\n").assert_status(0).assert_stderr_empty();
    run("[1, 2]\n").assert_status(0).assert_stderr_empty();
}

#[test]
fn a_line_that_is_not_utf8_is_invalid() {
    let input = b"0\n\"\xff\"\n2\n";
    mtask("-j1 --format jsonl")
        .echo()
        .run_on(*input)
        .assert_status(123)
        .assert_results_but(1, b"0\n?\n2\n")
        .assert_one_error(1, "invalid_input");
}

#[test]
fn input_that_is_all_malformed_has_an_error_record_for_each_line() {
    let input = records((0..1000).map(|i| format!("[{i}")));
    let done = mtask("-j2 --format jsonl").echo().run_on(input);
    let errors = done.assert_status(123).error_records();
    assert_eq!(errors.len(), 1000);
    done.check(
        (0..1000).all(|i| errors[i]["index"] == i),
        "an index is wrong",
    );
}

#[test]
fn malformed_lines_do_not_disturb_the_order_of_many_records() {
    let lines = (0..20_000).map(|i| {
        if i % 1000 == 500 {
            format!("[{i}")
        } else {
            i.to_string()
        }
    });
    let input = records(lines);
    let done = mtask("-j3 --format jsonl").echo().run_on(&input);
    let results: Vec<&[u8]> = done.assert_status(123).lines();
    let expected = numbers(20_000);
    done.check(results.len() == 20_000, "there are not 20000 outcomes");
    for (i, (found, expected)) in
        results.iter().zip(expected.split(|byte| *byte == b'\n')).enumerate()
    {
        if i % 1000 == 500 {
            assert_eq!(done.parse(found)["index"], i);
        } else {
            done.check(*found == expected, &format!("outcome {i} is wrong"));
        }
    }
}
