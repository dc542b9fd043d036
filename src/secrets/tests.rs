//! Recall on planted secrets, and false alarms on clean cells: both figures are checked, and printed by
//! `cargo test secrets -- --nocapture`.
//!
//! No fixture here is a credential: values come from a counter, and prefixes are put together when the test runs.

use std::{collections::BTreeMap, sync::Arc};

use base64::Engine as _;
use serde_json::json;

use super::*;
use crate::{
    inventory::model::{Class, Component, Entry, EntryKind, Inventory, Source},
    session::model::{CommMessage, Execution, Output, Process, Recording, SessionId, SessionInfo, StdinExchange},
    store::Store,
};

/// Characters that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % below as u64) as usize
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.roll(letters.len())]).collect()
    }

    fn word(&mut self, length: usize) -> String {
        self.text("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", length)
    }

    fn hex(&mut self, length: usize) -> String {
        self.text("0123456789abcdef", length)
    }
}

/// (how it is written, the secret in it)
fn forms(dice: &mut Dice) -> Vec<(String, String)> {
    let mut forms = Vec::new();
    let mut whole = |secret: String| forms.push((secret.clone(), secret));
    let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    whole(["AK", "IA", &dice.text(upper, 16)].concat());
    whole(["AS", "IA", &dice.text(upper, 16)].concat());
    for kind in ["p", "o", "s"] {
        whole(["gh", kind, "_", &dice.word(36)].concat());
    }
    whole(["github", "_pat_", &dice.word(22), "_", &dice.word(59)].concat());
    whole(["gl", "pat-", &dice.word(20)].concat());
    whole(["xo", "xb-", &dice.text("0123456789", 12), "-", &dice.word(24)].concat());
    whole(["https://hooks.", "slack.com/services/T", &dice.word(8), "/B", &dice.word(8), "/", &dice.word(24)].concat());
    whole(["sk-", "ant-api03-", &dice.word(80)].concat());
    whole(["sk-", "proj-", &dice.word(48)].concat());
    whole(["sk", "-", &dice.word(48)].concat());
    whole(["h", "f_", &dice.word(34)].concat());
    whole(["AI", "za", &dice.word(35)].concat());
    whole(["GOC", "SPX-", &dice.word(28)].concat());
    whole(["sk_", "live_", &dice.word(24)].concat());
    whole(["rk_", "test_", &dice.word(24)].concat());
    whole(["np", "m_", &dice.word(36)].concat());
    whole(["py", "pi-AgEIcHlwaS5vcmc", &dice.word(60)].concat());
    whole(["S", "G.", &dice.word(22), ".", &dice.word(43)].concat());
    whole(["do", "p_v1_", &dice.hex(64)].concat());
    whole(["dap", "i", &dice.hex(32)].concat());
    whole(["hv", "s.", &dice.word(24)].concat());
    whole(["dckr", "_pat_", &dice.word(27)].concat());
    whole(["gs", "k_", &dice.word(52)].concat());
    whole(["gl", "sa_", &dice.word(41)].concat());
    whole([&dice.text("0123456789", 9), ":", "AA", &dice.word(33)].concat());
    whole(["ey", "J", &dice.word(30), ".ey", "J", &dice.word(60), ".", &dice.word(43)].concat());
    let block = [
        "-----BEGIN ",
        "OPENSSH PRIVATE",
        " KEY-----\n",
        &dice.word(64),
        "\n",
        &dice.word(64),
        "\n-----END OPENSSH ",
        "PRIVATE KEY-----",
    ]
    .concat();
    whole(block);
    let mut named = |write: &str, secret: String| forms.push((write.replace('@', &secret), secret));
    named("aws_secret_access_key = @", dice.word(40));
    named("AWS_SECRET_ACCESS_KEY=@", dice.word(40));
    named("aws_secret_access_key = @", ["wJalrXUtnFEMI/K7", "MDENG/bPxRfiCYEY00001"].concat());
    named("DefaultEndpointsProtocol=https;AccountName=x;AccountKey=@;", [&dice.word(86), "=="].concat());
    named("password = \"@\"", ["hunter2", "!"].concat());
    named("db_password='@'", dice.word(12));
    named("password: @", [&dice.word(9), "#7"].concat());
    named("connect(host='db', user='u', passwd='@')", dice.word(10));
    let secret = dice.word(14);
    forms.push((["postgresql://ada:", &secret, "@db.host/sales"].concat(), secret));
    let secret = dice.word(20);
    forms.push((["https://ci:", &secret, "@git.host/x.git"].concat(), secret));
    let mut named = |write: &str, secret: String| forms.push((write.replace('@', &secret), secret));
    named("api_key = \"@\"", dice.word(32));
    named("client_secret: '@'", dice.word(28));
    named("OPENWEATHER_API_KEY=@", dice.hex(32));
    named("headers = {'Authorization': 'Bearer @'}", dice.word(40));
    named("{\"username\": \"ada\", \"key\": \"@\"}", dice.hex(32));
    named("requests.get('https://api.host/v1?api_key=@&q=1')", dice.word(30));
    named("token = '@'", dice.word(40));
    named("//registry.host/:_authToken=@", dice.word(36));
    // Kinds that a second look found missing.
    named("requests.get(url, params={'appid': '@', 'q': 'Oslo'})", dice.hex(32));
    named("Fernet(b'@')", [&dice.word(43), "="].concat());
    named("w3.eth.account.from_key('0x@')", dice.hex(64));
    let mut named = |write: &str, secret: String| forms.push((write.replace('#', &secret), secret));
    named("smtp.login('ada@example.org', '#')", dice.word(20));
    named("wandb.login(key=\"#\")", dice.hex(40));
    named("requests.get(url, auth=('ada', '#'))", dice.word(12));
    named("requests.get(url, auth=HTTPBasicAuth('ada', '#'))", dice.word(24));
    named("machine api.host\n  login ada\n  password #\n", dice.word(16));
    named("docker login -u ada -p # registry.host", dice.word(20));
    named("az login --service-principal -u 1234 -p # --tenant t", dice.word(36));
    named("curl -u ada:# https://nexus.host/repo", [&dice.word(14), "7"].concat());
    named("sshpass -p # ssh ada@host", dice.word(14));
    named("mysql -h db -u ada -p#", [&dice.word(12), "7"].concat());
    named("echo # | sudo -S true", [&dice.word(12), "7"].concat());
    named("oracle+cx_oracle://scott:#@ora:1521/x", dice.word(16));
    named("https://conda.host/t/#/team/noarch", ["ad-", &dice.hex(8), "-", &dice.hex(4), "-", &dice.hex(12)].concat());
    named("git+https://#@git.host/team/lib.git", dice.word(40));
    forms
}

fn execution(id: i64, code: &str) -> Execution {
    Execution {
        id,
        msg_id: format!("m{id}"),
        cell_id: None,
        code: code.to_owned(),
        request: json!({}),
        silent: false,
        is_magic: false,
        execution_count: Some(id),
        sent: 0,
        busy: None,
        reply: None,
        idle: None,
        status: None,
        ename: None,
        evalue: None,
        interrupted: false,
        client: String::new(),
        username: String::new(),
        user_expressions: json!({}),
        outputs: Vec::new(),
        stdin: Vec::new(),
    }
}

fn empty() -> Recording {
    let info = SessionInfo {
        id: SessionId("s".into()),
        started: 0,
        ended: None,
        kernel: "python3".into(),
        display_name: String::new(),
        language: "python".into(),
        argv: Vec::new(),
        interrupt_mode: "signal".into(),
        kernel_env: BTreeMap::new(),
        cwd: "/".into(),
        notebook: None,
        notebook_source: None,
        user: "ada".into(),
        uid: 1,
        gid: 1,
        home: "/home/ada".into(),
        host: "h".into(),
        nbpack_version: String::new(),
        coverage: "full".into(),
        exit_status: None,
        parent: None,
        executions: 0,
        running: false,
    };
    Recording {
        info,
        executions: Vec::new(),
        files: Vec::new(),
        versions: Vec::new(),
        processes: Vec::new(),
        connections: Vec::new(),
        environment: BTreeMap::new(),
        facts: BTreeMap::new(),
        gaps: Vec::new(),
        comms: Vec::new(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("s")).unwrap();
    (dir, store)
}

fn file(inventory: &mut Inventory, path: &str, class: Class, text: String) {
    let size = text.len() as u64;
    let kind = EntryKind::File {
        source: Source::Bytes(Arc::from(text.into_bytes())),
        size,
        executable: false,
        mtime: Some(0),
    };
    let entry = Entry { kind, class, rule: "dataset", component: None, original: None, touched: true, apart: false };
    inventory.entries.insert(path.trim_start_matches('/').as_bytes().to_vec(), entry);
}

fn display(mime: &str, value: serde_json::Value) -> Output {
    Output::DisplayData { data: BTreeMap::from([(mime.to_owned(), value)]), metadata: json!({}), display_id: None }
}

const PLACES: usize = 13;

/// Puts one form into one place; the name of the place as a finding says it.
fn plant(recording: &mut Recording, inventory: &mut Inventory, place: usize, id: i64, text: &str) -> String {
    let mut cell = execution(id, "run()");
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut at = format!("output:{id}");
    match place {
        0 => {
            cell.code = format!("import os\nx = 1\n{text}\n");
            at = format!("cell:{id}");
        }
        1 => cell.outputs.push(Output::Stream { name: "stdout".into(), text: format!("connecting\n{text}\ndone\n") }),
        2 => cell.outputs.push(display("text/html", json!(format!("<pre>{}</pre>", text.replace('"', "&quot;"))))),
        3 => {
            let traceback =
                vec!["\u{1b}[31mValueError\u{1b}[0m".into(), format!("----> 1 \u{1b}[38;5;28m{text}\u{1b}[39m")];
            cell.outputs.push(Output::Error { ename: "ValueError".into(), evalue: "bad".into(), traceback });
        }
        4 => cell.outputs.push(display("application/json", json!({"config": {"line": text}}))),
        5 => {
            cell.stdin.push(StdinExchange { prompt: "> ".into(), masked: false, value: Some(text.into()), asked: 0 });
            at = format!("stdin:{id}");
        }
        6 => {
            recording.environment.insert(format!("SETTING_{id}"), Some(text.to_owned()));
            at = format!("env:SETTING_{id}");
        }
        7 => {
            let argv = vec![b"tool".to_vec(), b"--with".to_vec(), text.as_bytes().to_vec()];
            recording.processes.push(Process {
                pid: 9000 + id as u32,
                ppid: 1,
                started: 0,
                exe: Vec::new(),
                argv,
                execution: None,
            });
            at = format!("argv:{}", 9000 + id);
        }
        8 => {
            let notebook = json!({"cells": [{"cell_type": "code", "source": [format!("{text}\n")], "outputs": []}]});
            file(inventory, &format!("/n/{id}.ipynb"), Class::Notebook, notebook.to_string());
            at = format!("file:/n/{id}.ipynb");
        }
        9 => {
            file(inventory, &format!("/n/{id}.ini"), Class::Configuration, format!("[main]\n{text}\n"));
            at = format!("file:/n/{id}.ini");
        }
        10 => {
            cell.code = format!("blob = '{}'", encoded(text));
            at = format!("cell:{id}");
        }
        11 => {
            recording.comms.push(CommMessage {
                text: None,
                at: 0,
                msg_type: "comm_msg".into(),
                comm_id: "c".into(),
                content: json!({"data": {"state": {"value": text}}}),
                buffers: Vec::new(),
                after: None,
            });
            at = format!("comm:{}", recording.comms.len() - 1);
        }
        _ => {
            let percent: String = text
                .bytes()
                .map(|byte| {
                    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                        char::from(byte).to_string()
                    } else {
                        format!("%{byte:02X}")
                    }
                })
                .collect();
            cell.code = format!("go('https://host/login?next={percent}')");
            at = format!("cell:{id}");
        }
    }
    recording.executions.push(cell);
    at
}

#[test]
fn planted_secrets_are_found_in_every_place_and_redaction_removes_them() {
    let mut dice = Dice(7);
    let (mut recording, mut inventory) = (empty(), Inventory::default());
    let mut planted = Vec::new();
    let mut id = 0;
    for place in 0..PLACES {
        for (text, secret) in forms(&mut dice) {
            id += 1;
            planted.push((plant(&mut recording, &mut inventory, place, id, &text), secret, text));
        }
    }
    let (_dir, store) = store();
    let found = scan(&recording, &inventory, &store);
    let missed: Vec<_> = planted
        .iter()
        .filter(|(place, secret, _)| {
            !found.iter().any(|one| {
                one.place == *place && (one.plain.contains(secret.as_str()) || one.raw.contains(secret.as_str()))
            })
        })
        .collect();
    let recall = 1.0 - missed.len() as f64 / planted.len() as f64;
    println!("planted {} secrets in {PLACES} places, recall {:.2} %", planted.len(), recall * 100.0);
    for (place, secret, text) in &missed {
        println!("missed in {place}: {secret} of {text}");
    }
    assert!(planted.len() >= 100 && recall >= 0.99);
    for one in &found {
        assert!(!format!("{one:?}").contains(one.plain.as_str()));
    }

    assert!(redact(&mut recording, &found) > 0);
    assert_eq!(recording.gaps.last().unwrap().reason, "redacted");
    redact_files(&mut inventory, &store, &found);
    let left = format!("{:?}", (&recording.executions, &recording.environment, &recording.comms));
    let taken = |one: &&(String, String, String)| !one.1.contains('\n') && !missed.contains(one);
    for (_, secret, _) in planted.iter().filter(taken) {
        assert!(!left.contains(secret.as_str()), "{secret} is still there");
    }
    let again = scan(&recording, &inventory, &store);
    assert!(again.len() * 100 <= planted.len(), "{again:?}");
}

/// Cells that hold nothing secret, of the sorts that other scanners stumble over.
fn clean(dice: &mut Dice, recording: &mut Recording, at: usize) {
    let id = at as i64 + 1;
    let stream = |text: String| Output::Stream { name: "stdout".into(), text };
    let mut cell = execution(id, "print(x)");
    match at % 20 {
        0 => cell.outputs.push(display("image/png", json!(base64::engine::general_purpose::STANDARD.encode(dice.word(3000))))),
        1 => cell.outputs.push(stream(format!("commit {}\nsha256:{}\n", dice.hex(40), dice.hex(64)))),
        2 => cell.code = format!("run_id = '{}-{}-{}-{}-{}'", dice.hex(8), dice.hex(4), dice.hex(4), dice.hex(4), dice.hex(12)),
        3 => cell.code = "import os, getpass\npassword = getpass.getpass('Password: ')\ntoken = os.environ['HF_TOKEN']\napi_key = os.getenv(\"API_KEY\")".into(),
        4 => cell.code = "tokenizer = AutoTokenizer.from_pretrained('bert-base-uncased')\npad_token = '[PAD]'; eos_token = '<|endoftext|>'\ntokenizer.add_special_tokens({'pad_token': '<pad>'})".into(),
        5 => cell.outputs.push(display("text/html", json!(format!("<img src=\"data:image/png;base64,{}\"/>", base64::engine::general_purpose::STANDARD.encode([137_u8, 80, 78, 71, 200, 1].repeat(60)))))),
        6 => {
            let rows: Vec<_> = (0..40).map(|row| format!("{row} {:.4} {:.4}", f64::from(row) / 7.0, f64::from(row) / 3.0)).collect();
            cell.outputs.push(stream(rows.join("\n")));
        }
        7 => cell.code = "vectorizer = TfidfVectorizer(token_pattern=r\"(?u)\\b\\w\\w+\\b\", max_features=5000)\nkey = lambda row: row['user_name']".into(),
        8 => cell.code = "url = 'https://raw.githubusercontent.com/mwaskom/seaborn-data/master/iris.csv'\ndf = pd.read_csv(url)\nengine = create_engine('sqlite:///data/db.sqlite3')".into(),
        9 => cell.outputs.push(Output::Error {
            ename: "KeyError".into(),
            evalue: "'api_key'".into(),
            traceback: vec!["\u{1b}[0;31mKeyError\u{1b}[0m: 'api_key'".into(), "  self.password = password  # the user's password".into()],
        }),
        10 => cell.code = "# Set your API key below\napi_key = 'YOUR_API_KEY'\npassword = '<your password>'\nsecret = \"xxxxxxxxxxxxxxxx\"".into(),
        11 => cell.outputs.push(stream(format!("Successfully installed numpy-2.0.1 pandas-3.1.1\nLocation: /home/u/venv/lib/python3.11/site-packages\nmodel-00001-of-00003.safetensors etag \"{}\"\n", dice.hex(32)))),
        12 => cell.code = "conn = psycopg2.connect(host=cfg.host, user=cfg.user, password=cfg.password)\nurl = f'postgresql://{user}:{password}@{host}/db'".into(),
        13 => cell.outputs.push(stream(format!("{{'id': '{}', 'next_page_token': None, 'token_count': 1532, 'total_tokens': 20481}}\n", dice.hex(24)))),
        14 => cell.code = "primary_key = ['customer_id', 'order_id']\nforeign_key = 'customers.customer_id'\nsort_key='date_2024_01'\nassert key == 'temperature_2m_max'\n{\"_path\": \"lib/python3.11/LICENSE.txt\", \"weights_path\": \"ResNet50v2_weights.h5\"}".into(),
        15 => cell.outputs.push(display("text/plain", json!("   token_type      count\n0  access_token     120\n1  refresh_token     42\npassword_strength  weak"))),
        16 => cell.outputs.push(display("application/vnd.plotly.v1+json", json!({"data": [{"x": {"dtype": "f8", "bdata": base64::engine::general_purpose::STANDARD.encode((0..600_u32).flat_map(|n| f64::from(n).sqrt().to_le_bytes()).collect::<Vec<u8>>())}}], "layout": {"uid": dice.hex(6)}}))),
        17 => cell.code = format!("assert hashlib.md5(data).hexdigest() == '{}'\nchecksum = \"{}\"\netag='W/\"{}\"'", dice.hex(32), dice.hex(64), dice.hex(16)),
        18 => cell.outputs.push(stream("Epoch 1/10 - loss: 0.6931 - auc: 0.5 - val_auc: 0.51\nEnter your password to continue:\nPassword is required.\nInvalid token: unexpected end of input\nGET /view?a=rp&sessionToken=&catId=6934&curAbsIndex=1&resultsUrl=DID%3D6%26DFCL%3D1000\n".into())),
        _ => cell.code = "auth = HTTPBasicAuth(user, pwd)\nheaders = {'Authorization': f'Bearer {token}', 'Content-Type': 'application/json'}\nparams = {'key': 'value', 'secret_name': 'projects/my-project/secrets/db'}".into(),
    }
    recording.executions.push(cell);
}

#[test]
fn clean_cells_raise_at_most_one_alarm_in_a_hundred() {
    let mut dice = Dice(11);
    let mut recording = empty();
    let cells = 400;
    for at in 0..cells {
        clean(&mut dice, &mut recording, at);
    }
    let (_dir, store) = store();
    let mut inventory = Inventory::default();
    file(
        &mut inventory,
        "/n/users.csv",
        Class::Dataset,
        "id,name,token_count,password_hash_algo\n1,ada,120,bcrypt\n".into(),
    );
    file(
        &mut inventory,
        "/n/page.html",
        Class::Dataset,
        "<input type=\"password\" name=\"password\" placeholder=\"Password\">".into(),
    );
    file(
        &mut inventory,
        "/n/shell.sh",
        Class::LocalModule,
        "test \"\\$PWD\" = \"\\$_SAVED_PWD\"\nPWD='/home/u/2024/run1'\n{\"pwd\": \"OSMagics\", \"ls\": \"OSMagics\"}\n"
            .into(),
    );
    let found = scan(&recording, &inventory, &store);
    assert!(found.iter().all(|one| one.place != "file:/n/shell.sh"), "{found:?}");
    println!("{cells} clean cells, {} false alarms", found.len());
    for one in &found {
        println!("{one:?}: {}", one.plain);
    }
    assert!(found.len() * 100 <= cells);
}

#[test]
fn the_token_that_an_installer_kept_is_found_in_the_software_list_and_taken_out() {
    let mut dice = Dice(11);
    let secret = dice.word(40);
    let url = ["https://", &secret, "@git.host/team/lib.git"].concat();
    let origin = json!({"url": url, "vcs_info": {"vcs": "git"}});
    let component = Component { name: "lib".into(), direct_url: Some(origin), ..Component::default() };
    let mut inventory = Inventory { components: vec![component], ..Inventory::default() };
    let (_dir, store) = store();
    let found = scan(&empty(), &inventory, &store);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].place.as_str(), found[0].rule), ("component:lib", "url-token"));
    redact_files(&mut inventory, &store, &found);
    assert!(!format!("{:?}", inventory.components).contains(&secret));
}

#[test]
fn a_table_with_a_column_of_passwords_is_seen() {
    let (_dir, store) = store();
    let mut inventory = Inventory::default();
    let secret = ["tiger", "9#x"].concat();
    file(&mut inventory, "/n/u.csv", Class::Dataset, format!("name,password\nada,{secret}\n"));
    let found = scan(&empty(), &inventory, &store);
    assert_eq!(
        found.iter().map(|one| (one.rule, one.place.as_str())).collect::<Vec<_>>(),
        [("secret-column", "file:/n/u.csv")]
    );
}

#[test]
fn base64_of_a_document_is_a_secret_only_where_something_in_it_is() {
    let mut dice = Dice(17);
    let found = |says: &str| {
        let token = base64::engine::general_purpose::STANDARD_NO_PAD.encode(says);
        let mut recording = empty();
        recording.executions.push(execution(1, &["n.DEFAULT_TOKEN=\"", &token, "\";"].concat()));
        let (_dir, store) = store();
        scan(&recording, &Inventory::default(), &store).len()
    };
    assert_eq!(found("{\"session_id\": \"default\"}"), 0, "as Bokeh's own script has it");
    assert_ne!(found(&["{\"session_id\": \"", &dice.word(32), "\"}"].concat()), 0);
}

#[test]
fn a_large_notebook_is_searched_to_its_end_and_what_is_found_there_replaced() {
    let mut dice = Dice(19);
    let secret = ["ghp", "_", &dice.word(36)].concat();
    let dir = tempfile::tempdir().unwrap();
    let (_dir, store) = store();
    for (class, is_searched) in [(Class::Notebook, true), (Class::Dataset, false)] {
        let path = dir.path().join("large.ipynb");
        std::fs::write(
            &path,
            ["{\"text\": \"", &"lorem ipsum ".repeat(200_000), "\", \"end\": \"", &secret, "\"}"].concat(),
        )
        .unwrap();
        let mut inventory = Inventory::default();
        file(&mut inventory, "/n/large.ipynb", class, String::new());
        let entry = inventory.entries.values_mut().next().unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        let EntryKind::File { source, size, .. } = &mut entry.kind else { unreachable!() };
        let signature = crate::files::Signature::of(&metadata);
        (*source, *size) = (Source::Host { path: path.clone(), signature }, metadata.len());
        let found = scan(&empty(), &inventory, &store);
        assert_eq!(found.len(), usize::from(is_searched), "{found:?}");
        if is_searched {
            assert_eq!(redact_files(&mut inventory, &store, &found).remaining, []);
        }
    }
}

#[test]
fn the_allow_list_names_rule_and_place() {
    let one = Finding::new("password", "cell:3", "abcdef", "abcdef");
    for (entry, expected) in [
        ("password:cell:3", true),
        ("password:*", true),
        ("*:cell:3", true),
        ("password:cell:4", false),
        ("jwt:*", false),
        ("password", false),
    ] {
        assert_eq!(one.is_allowed_by(entry), expected, "{entry}");
    }
    assert_eq!(not_allowed(vec![one], &["password:*".to_owned()]), []);
}

#[test]
fn what_is_escaped_twice_is_replaced_where_it_stands() {
    let (mut recording, mut inventory) = (empty(), Inventory::default());
    let text = ["{\"secret\": \"Aa0aa+0Bbcd7", "\\u0041\"}"].concat();
    plant(&mut recording, &mut inventory, PLACES - 1, 1, &text);
    let (_dir, store) = store();
    let found = scan(&recording, &inventory, &store);
    assert!(found.iter().any(|one| one.plain == "Aa0aa+0Bbcd7A"), "{found:?}");
    redact(&mut recording, &found);
    assert!(remaining(&recording, &inventory, &store, &found).is_empty(), "{}", recording.executions[0].code);
    assert!(recording.executions[0].code.contains("[redacted]"));
}

/// Pieces of what the rules look for, so that random texts come near them.
fn piece() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let marks = [
        "password",
        "token=",
        "key: ",
        "\"",
        "'",
        "=",
        ":",
        "@",
        "//",
        "\\u0041",
        "\\",
        "%41",
        "&quot;",
        "<td>",
        "{",
        "}",
        "\n",
        "\r",
        ",",
        "Authorization: Bearer ",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "curl -u ",
        "https://a:",
        "{\"secret\": \"",
        "\u{fffd}",
        "\u{1b}[31m",
        "name,password\nada,",
    ];
    prop_oneof![
        3 => proptest::sample::select(marks.to_vec()).prop_map(str::to_owned),
        2 => "[A-Za-z0-9+/_-]{1,60}={0,2}",
        1 => "\\PC{0,12}",
        1 => "[a-zA-Z0-9]{8,40}".prop_map(|text| base64::engine::general_purpose::STANDARD.encode(format!("password={text}"))),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 150, ..Default::default() })]

    /// Panics are bugs; a finding shows no more than its beginning; and what could not be taken out is one that was found.
    #[test]
    fn no_text_makes_the_search_or_the_redaction_panic(pieces in proptest::collection::vec(piece(), 1..20), place in 0..PLACES) {
        let text = pieces.concat();
        let (mut recording, mut inventory) = (empty(), Inventory::default());
        plant(&mut recording, &mut inventory, place, 1, &text);
        let (_dir, store) = store();
        let found = scan(&recording, &inventory, &store);
        for one in &found {
            let shown = one.masked.split('…').next().unwrap_or_default();
            proptest::prop_assert!(shown.chars().count() <= 4 && one.plain.starts_with(shown), "{}", one.masked);
        }
        redact(&mut recording, &found);
        redact_files(&mut inventory, &store, &found);
        let left = remaining(&recording, &inventory, &store, &found);
        proptest::prop_assert!(left.iter().all(|one| found.iter().any(|before| before.plain == one.plain)));
    }
}
