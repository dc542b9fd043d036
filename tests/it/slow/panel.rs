//! What a panel asks for that takes its time: plan, export, restore, and what a restored kernel's panel may.

use serde_json::json;

use crate::{
    panel::{drive, kinds},
    support::{KERNEL, TestEnv, python},
};

#[test]
fn the_panel_plans_exports_and_opens() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    let secret = "print('AKIA' 'Q3EGRZ5XWV2LMN7P')";
    let steps = [
        json!({"run": "print(6 * 7)", "cell": "a"}),
        json!({"run": secret, "cell": "b"}),
        json!({"ask": "status"}),
        json!({"cancel": {"ask": "export", "output": "given-up.nbpack", "redact": true}}),
        json!({"ask": "plan"}),
        json!({"ask": "export", "output": "refused.nbpack"}),
        json!({"ask": "export", "output": "packed.nbpack", "redact": true}),
        json!({"ask": "open", "path": "packed.nbpack", "notebook": "opened.ipynb"}),
        json!({"ask": "open", "path": "nowhere.nbpack"}),
    ];
    let answers = drive(&env, &python, "nb.ipynb", KERNEL, &steps);
    let [_, given_up, plan, refused, packed, opened, nowhere] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(given_up["ran"], 2, "the child and the export that it started: {given_up}");
    assert!(!env.work().join("given-up.nbpack").exists());

    let plan = &plan["result"];
    assert!(plan["layers"].as_array().unwrap().len() > 5, "{plan}");
    let finding = &plan["findings"][0];
    assert_eq!((&finding["place"], &finding["in_file"]), (&"output:2".into(), &false.into()), "{plan}");
    assert!(!plan.to_string().contains("Q3EGRZ5XWV2LMN7P"), "{plan}");

    let refusal = &refused["error"];
    assert!(refusal["message"].as_str().unwrap().contains("would leave with this bundle"), "{refused}");
    assert!(refusal["hint"].as_str().unwrap().contains("--redact") && !env.work().join("refused.nbpack").exists());

    assert_eq!(packed["result"]["shown"], "packed.nbpack", "{packed}");
    let progress = packed["progress"].as_array().unwrap();
    assert!(progress.iter().any(|line| line["text"].is_string()), "{packed}");
    env.nbpack_ok(&["verify", "packed.nbpack"]);

    let opened = &opened["result"];
    assert_eq!(opened["beside"], "opened.ipynb", "{opened}");
    let notebook = std::fs::read_to_string(env.work().join("opened.ipynb")).unwrap();
    assert!(notebook.contains("6 * 7"));
    let kernel = opened["kernel_name"].as_str().unwrap();
    assert!(env.path().join("data/jupyter/kernels").join(kernel).join("kernel.json").is_file(), "{opened}");
    assert!(nowhere["error"]["message"].as_str().unwrap().contains("nowhere.nbpack"), "{nowhere}");

    // A restored kernel's panel answers too, and writes nothing that it is told from inside.
    let steps = [
        json!({"run": "x = 5\nprint(x)", "cell": "a"}),
        json!({"run": "print(x + 1)", "cell": "b"}),
        json!({"ask": "status"}),
        json!({"run": "x = 6", "cell": "a"}),
        json!({"ask": "cells"}),
        json!({"ask": "inputs"}),
        json!({"ask": "open", "path": "packed.nbpack"}),
        json!({"ask": "export", "output": "elsewhere.nbpack"}),
    ];
    let answers = drive(&env, &python, "again.ipynb", kernel, &steps);
    let [status, cells, inputs, open, export] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(
        (&status["result"]["contained"], &status["result"]["executions"]),
        (&true.into(), &2.into()),
        "{status}"
    );
    assert_eq!(cells["result"]["files_compared"], false);
    assert_eq!(kinds(&cells["result"]["cells"][0]), ["rerun"], "{cells}");
    assert!(inputs["result"]["installed"].as_u64().unwrap() > 3, "{inputs}");
    for refused in [open, export] {
        assert!(refused["error"]["message"].as_str().unwrap().contains("restored kernel"), "{refused}");
    }
    assert!(!env.work().join("elsewhere.nbpack").exists());
}
