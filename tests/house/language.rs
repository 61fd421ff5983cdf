//! Sentences and words: comments and documents name the thing, each term has one meaning, commit subjects are short.

use crate::house::source::{SourceFile, files_in, prose, root, sources};
use std::process::Command;

/// Pronouns that hide the noun a reader needs.
const PRONOUNS: [&str; 5] = ["who", "whoever", "whom", "what", "whatever"];
/// How many of them 1,000 words may hold.
const IN_COMMENTS: f64 = 3.0;
const IN_DOCUMENTS: f64 = 5.0;

/// Pronouns and words of the files' prose, and the lines with a pronoun.
fn pronouns(files: &[SourceFile]) -> (usize, usize, Vec<String>) {
    let (mut hits, mut words, mut lines) = (0, 0, Vec::new());
    for file in files {
        for (number, text) in prose(file) {
            let of_line = text.split(|c: char| !(c.is_alphanumeric() || "_'-".contains(c))).filter(|word| !word.is_empty());
            let (mut here, before) = (0, words);
            for word in of_line {
                words += 1;
                here += usize::from(PRONOUNS.iter().any(|pronoun| word.eq_ignore_ascii_case(pronoun)));
            }
            hits += here;
            if here > 0 && words > before {
                lines.push(format!("{}:{number}: {text}", file.path));
            }
        }
    }
    (hits, words, lines)
}

/// The violation, if there are more pronouns than `limit` in 1,000 words.
fn too_many_pronouns(of: &str, files: &[SourceFile], limit: f64) -> Option<String> {
    let (hits, words, lines) = pronouns(files);
    let share = 1000.0 * hits as f64 / words.max(1) as f64;
    (share > limit).then(|| {
        let lines = lines.join("\n  ");
        format!("{of}: {hits} of {PRONOUNS:?} in {words} words are {share:.1} in 1,000, at most {limit}:\n  {lines}")
    })
}

#[test]
fn comments_name_the_thing() {
    let trees = [
        ("src", sources()),
        ("tests", files_in("tests", &[".rs"])),
        ("end2end", files_in("end2end", &[".ts"])),
        ("tools", files_in("tools", &[".sh", ".mjs", ".py"])),
        ("benches", files_in("benches", &[".rs", ".mjs"])),
    ];
    let wrong: Vec<_> = trees.iter().filter_map(|(of, files)| too_many_pronouns(of, files, IN_COMMENTS)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn documents_name_the_thing() {
    let mut documents = files_in("docs", &[".md"]);
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        documents.extend(files_in(name, &[".md"]));
    }
    assert!(documents.len() > 3, "the documents were not found");
    let check = |file: SourceFile| too_many_pronouns(&file.path.clone(), &[file], IN_DOCUMENTS);
    let wrong: Vec<_> = documents.into_iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that stood for something the trade has a word for. Each with the word to write.
const FORMER: [(&str, &str); 5] = [
    ("door", "listener, endpoint, API or protocol"),
    ("seat", "permit or limit"),
    ("figures", "metrics"),
    ("ears", "event sender"),
    ("spare", "reserved"),
];
/// Modules below the chat. A room is a chat room, which they do not know: only a line that also says "chat" may name it.
const BELOW_CHAT: [&str; 3] = ["src/server/gateway/", "src/server/gatewayworker/", "src/server/web/listener/"];
/// Except the send queue, which writes the chat protocol's gap push.
const WRITES_GAP_PUSH: &str = "src/server/gateway/send_queue";

/// Words of code and comments, in lower case: `TakeSeats` holds `take` and `seats`.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words
}

fn is_word(word: &str, term: &str) -> bool {
    word == term || word.strip_suffix('s') == Some(term)
}

/// Each line of a file that uses a former word, or `room` where no chat room can be meant.
fn misused_words(file: &SourceFile) -> Vec<String> {
    let is_below_chat = BELOW_CHAT.iter().any(|folder| file.path.starts_with(folder)) && !file.path.starts_with(WRITES_GAP_PUSH);
    let mut found = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let words = words_of(line);
        let at = format!("{}:{}", file.path, index + 1);
        for (term, instead) in FORMER.iter().filter(|(term, _)| words.iter().any(|word| is_word(word, term))) {
            found.push(format!("{at}: `{term}`: write {instead}"));
        }
        let has = |term: &str| words.iter().any(|word| is_word(word, term));
        if is_below_chat && has("room") && !has("gap") && !has("chat") {
            found.push(format!("{at}: `room`: nothing but a chat room, which this module does not know"));
        }
    }
    found
}

#[test]
fn each_term_has_one_meaning() {
    let wrong: Vec<_> = sources().iter().flat_map(misused_words).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Subjects of later commits are held to the rule.
const SUBJECTS_SINCE: &str = "e6e61078c45b62df87fda37ac508cc58962b7d84";
/// Characters.
const SUBJECT_LENGTH: usize = 72;

fn wrong_subject(subject: &str) -> Option<String> {
    let length = subject.chars().count();
    if length > SUBJECT_LENGTH {
        return Some(format!("{length} characters, at most {SUBJECT_LENGTH}: {subject}"));
    }
    let first_words = [Some(subject), subject.split_once(": ").map(|(_, change)| change)];
    let first_words = first_words.into_iter().flatten().filter_map(|text| text.split([' ', ',']).next());
    let names_nothing = first_words.into_iter().any(|word| PRONOUNS.iter().any(|pronoun| word.eq_ignore_ascii_case(pronoun)));
    names_nothing.then(|| format!("begins with a pronoun: {subject}"))
}

/// The output of git. `None` if it fails, as for a revision that is missing.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(root()).args(["-c", "safe.directory=*"]).args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn commit_subjects_are_short_and_name_the_change() {
    if !root().join(".git").exists() {
        return;
    }
    // A shallow clone without that commit holds later ones only.
    let range = format!("{SUBJECTS_SINCE}..HEAD");
    let subjects = |range: &str| git(&["log", "--no-merges", "--format=%s", range]);
    let subjects = subjects(&range).or_else(|| subjects("HEAD")).expect("git log failed");
    let wrong: Vec<_> = subjects.lines().filter_map(wrong_subject).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.into(), text: text.into() }
}

#[test]
fn a_pronoun_in_a_comment_is_found() {
    let planted = [file("src/a.rs", "// Whoever reads this, whatever comes.\nlet what = who();\n")];
    assert_eq!(pronouns(&planted), (2, 5, vec!["src/a.rs:1: Whoever reads this, whatever comes.".to_owned()]));
    assert!(too_many_pronouns("src", &planted, 399.0).unwrap().contains("src/a.rs:1"));
    assert_eq!(too_many_pronouns("src", &planted, 401.0), None);
}

#[test]
fn a_misused_word_is_found() {
    let planted = file("src/server/gateway/a.rs", "// A front door.\nfn take_seats(room: &Semaphore) {}\nPush::Gap { room }\n");
    let found = misused_words(&planted);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].contains(":1: `door`") && found[1].contains(":2: `seat`") && found[2].contains(":2: `room`"));
    let elsewhere = file("src/server/chat/a.rs", "// The room is outdoors.\nstruct RoomId;\n");
    assert_eq!(misused_words(&elsewhere), Vec::<String>::new());
}

#[test]
fn a_wrong_commit_subject_is_found() {
    assert_eq!(wrong_subject("gateway: close connections that do not answer a ping"), None);
    assert!(wrong_subject(&"é".repeat(73)).is_some());
    assert_eq!(wrong_subject(&"é".repeat(72)), None);
    assert!(wrong_subject("Who is not read stands in no row").is_some());
    assert!(wrong_subject("gateway: what is read is done").is_some());
}
