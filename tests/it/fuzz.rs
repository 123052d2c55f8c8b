//! The bodies of the fuzz targets, on seeds and on what chance makes of them: a short look at what
//! `cargo fuzz run` looks at for as long as it is let.

mod bodies;

use fastrand::Rng;

use crate::property::first_seed;

const ROUNDS: usize = 1000;

#[test]
fn input_is_cut_as_a_simple_model_says() {
    if cfg!(target_os = "linux") {
        let seeds: [&[u8]; 3] = [
            b"\x00a\nbb\r\n\xff\n\nlast",
            b"\x19\xEF\xBB\xBF{\"a\":[1]}\n \t\r\n1 2\n\"x\" \nNaN\n",
            b"\x3d\x041\0\0\x002\0\0long enough to be cut",
        ];
        vary(&seeds, bodies::input);
    }
}

#[test]
fn answers_are_read_as_they_are_written() {
    let seeds: [&[u8]; 4] = [
        b"\x02\x07\x05{\"id\":7,\"output\":[1 , 2]}\n{\"id\":8,\"error\":{\"type\":\"E\",\"message\":\"m\"}}\n",
        b"\x02\x10\x05{\"ready\":true,\"concurrency\":8}\n{\"output\":NaN,\"id\":3}\n{\"exit\":1e400}\n",
        b"\x01\x03\x02{\"id\":\"x\",\"output\":\"\\ud800\\n\"}\r\n {\"id\":1,\"output\":null}\nlog\ntail",
        b"\x00\x20\x01one\ntwo and more\n\n",
    ];
    vary(&seeds, bodies::answers);
}

#[test]
fn answers_of_several_lines_end_as_a_simple_model_says() {
    let seeds: [&[u8]; 3] = [
        b"\x02\x00\x03\x05one\ntwo\n0\n0\nthree\n0\nfour",
        b"\x00\x02\x10\x03long enough\n}0\nx\n}0\n}0}0\n",
        b"\x01\x01\x02\x02a\n\n\nb\n",
    ];
    vary(&seeds, bodies::answer_ends);
}

#[test]
fn placeholders_are_replaced_as_a_simple_model_says() {
    let seeds: [&[u8]; 3] = [
        b"\x02a=1\0{\"a\":2,\"b\":\"x\"}\0sh\0{a}{b}{worker}{}{{arg}",
        b"\x04gpu=0\0model=\"m\"\0sh\0-c\0{gpu} {model} {none}",
        b"\x0aplain text\0{arg}x{\0\xff{worker}",
    ];
    vary(&seeds, bodies::placeholders);
}

#[test]
fn a_record_is_put_into_words_as_it_is() {
    let seeds: [&[u8]; 3] = [
        b"\x00a/b.c d\0{}\0{/}{//}\0{.}-{/.}\0{index}{{worker}",
        b"\x01{\"k\":\"v {}\",\"n\":[1]}\0{k}\0{n}{}\0{ k}{none",
        b"\x00../..//.x/\0plain\0{}",
    ];
    vary(&seeds, bodies::record_placeholders);
}

#[test]
fn a_journal_never_says_more_than_was_written() {
    let seeds: [&[u8]; 3] = [
        b"\x80\x80abcdefghijklmnopqrstuvwxyz",
        b"\xff\x00\0\0\0\0\0\0",
        b"mtask-journal 3 0123456789abcdef {\"id\":1,\"terms\":{},\"files\":{\"output\":\"\"},\"command\":[]}\n",
    ];
    vary(&seeds, bodies::journal);
}

/// Seeds with bytes changed, moved, doubled and left out.
fn vary(seeds: &[&[u8]], body: fn(&[u8])) {
    let seed = first_seed();
    eprintln!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    for round in 0..ROUNDS {
        let mut data = seeds[round % seeds.len()].to_vec();
        if round >= seeds.len() {
            for _ in 0..rng.usize(1..5) {
                change(&mut data, &mut rng);
            }
        }
        eprintln!("{}", data.escape_ascii());
        body(&data);
    }
}

fn change(data: &mut Vec<u8>, rng: &mut Rng) {
    let from = rng.usize(..=data.len());
    let to = rng.usize(from..=data.len().min(from + 20));
    match rng.u32(..4) {
        0 if from < data.len() => data[from] = rng.u8(..),
        1 => drop(data.drain(from..to)),
        2 => {
            let part = data[from..to].to_vec();
            let at = rng.usize(..=data.len());
            data.splice(at..at, part);
        }
        _ => data.insert(from, *rng.choice(b"{}\":,\\ \n\0\xff0t").expect("a byte")),
    }
}
