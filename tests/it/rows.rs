//! `--format csv` and `tsv`: rows as records.

use crate::env::{TestEnv, has};

const PEOPLE: &str = "name,age\nAda,36\n\"Grace, R. Adm.\",85\nonly one field\n\"two\nlines\",1\n";

#[test]
fn a_worker_of_lines_gets_each_row_as_an_object_on_a_line() {
    let env = TestEnv::new();
    let done = env.mtask().args(["-j2", "--format", "csv"]).echo().stdin(PEOPLE).run();
    done.assert_status(123);
    let lines = done.lines();
    assert_eq!(lines[0], br#"{"name":"Ada","age":"36"}"#);
    assert_eq!(lines[1], br#"{"name":"Grace, R. Adm.","age":"85"}"#);
    assert_eq!(lines[3], br#"{"name":"two\nlines","age":"1"}"#);
    let record = done.assert_one_error(2, "invalid_input");
    assert_eq!(record["input"], "only one field");
    assert_eq!(
        record["message"],
        "not valid CSV: 1 field where the first row names 2 at line 4 column 1"
    );
}

#[test]
fn a_python_function_gets_a_dict() {
    if !has("python3") {
        return;
    }
    let env = TestEnv::new();
    env.write(
        "age.py",
        "def later(row):\n    return int(row['age']) + 1\n",
    );
    let run = env.mtask().args(["-j2", "--format", "tsv", "--python", "age.py:later"]);
    run.stdin("name\tage\nAda\t36\n\"a\tb\"\t1\n")
        .run()
        .assert_status(0)
        .assert_stdout("37\n2\n");
}

#[test]
fn all_files_name_the_same_fields() {
    let env = TestEnv::new();
    let files = ["-i", "one", "-i", "two", "--format", "csv"];
    env.write("one", "a,b\n1,2\n");
    env.write("two", "b,a\n3,4\n");
    let done = env.mtask().args(files).echo().run();
    done.assert_status(2).assert_stderr_has("two").assert_stderr_has("all must name the same");
    env.write("two", "a,b\n3,4");
    let done = env.mtask().args(files).echo().run();
    done.assert_status(0)
        .assert_stdout("{\"a\":\"1\",\"b\":\"2\"}\n{\"a\":\"3\",\"b\":\"4\"}\n");
    env.write("two", "a,a\n3,4");
    let done = env.mtask().args(files).echo().run();
    done.assert_status(2).assert_stderr_has("twice");
    let done = env.mtask().args(["-0", "--format", "csv"]).echo().run();
    done.assert_status(2).assert_stderr_has("--null");
}

#[test]
fn a_quote_that_is_never_closed_ends_the_run_after_all_that_stands_before() {
    let env = TestEnv::new();
    let done = env.mtask().args(["--format", "csv"]).echo().stdin("a\n1\n2\n\"3\n4\n").run();
    done.assert_status(1).assert_stdout("{\"a\":\"1\"}\n{\"a\":\"2\"}\n");
    done.assert_stderr_has("a quote is never closed in the row that begins on line 4");
}

#[test]
fn shards_of_rows_are_cut_between_rows() {
    let env = TestEnv::new();
    let row = |number: usize| match number % 3 {
        0 => format!("{number},\"a\nb\"\n"),
        1 => format!("{number},\"\"\"\n\"\n"),
        _ => format!("{number},\n"),
    };
    let text: String = "n,text\n".to_owned() + &(0..200).map(row).collect::<String>();
    env.write("in", text);
    let common = [
        "-j2",
        "-i",
        "in",
        "--format",
        "csv",
        "--output-format",
        "envelope",
    ];
    let whole = env.mtask().args(common).echo().run();
    for number in 0..5 {
        let shard = format!("{number}/5");
        let files = [
            "--resume",
            "j-{shard}",
            "-o",
            "o-{shard}",
            "--shard",
            &shard,
        ];
        env.mtask().args(common).args(files).echo().run().assert_status(0);
    }
    let join = ["--join", "--resume", "j-{shard}", "-o", "all", "o-{shard}"];
    env.mtask().args(join).run().assert_status(0);
    assert_eq!(env.read("all"), whole.stdout);
    assert_eq!(whole.lines().len(), 200);
}

#[test]
fn a_row_of_a_shard_is_named_by_its_line_in_the_whole_file() {
    let env = TestEnv::new();
    let text: String = (0..20).map(|number| format!("{number},\n")).collect();
    env.write("in", format!("n,text\n{text}odd\n20,\n"));
    let shard = ["--shard", "1/2", "-i", "in", "--format", "csv"];
    let done = env.mtask().args(shard).echo().run();
    done.assert_status(123).assert_stderr_has("the first row names 2 at line 22 column 1");
    env.write("in", format!("n,text\n{text}\"odd\n20,\n"));
    let done = env.mtask().args(shard).echo().run();
    done.assert_status(1).assert_stderr_has(
        "cannot read in: a quote is never closed in the row that begins on line 22",
    );
}

#[test]
fn a_file_of_another_kind_is_named_before_anything_runs() {
    let env = TestEnv::new();
    env.write("x.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x33\n\x54\xff\n");
    let done = env.mtask().args(["--format", "csv", "-i", "x.gz"]).echo().run();
    done.assert_status(2)
        .assert_stderr_has("x.gz is compressed with gzip: zcat x.gz | mtask … unpacks it");
}
