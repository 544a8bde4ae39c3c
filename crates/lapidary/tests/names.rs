//! Names on the command line: paths, sites, token ids, standard input and what the program carries mean the same in every
//! verb.

use crate::common::{Ran, Tiny, command, good, lapidary};
use lapidary_dictionary::hooks::{self, Modules};
use lapidary_lm::Site;
use std::io::Write;
use std::process::Stdio;

const ONE: &str = "organism-suite/2.res-width1024-lambda0.002";

fn refused(args: &[&str], needles: &[&str]) {
    let ran = lapidary(args);
    assert_ne!(ran.code, Some(0), "{args:?}: {}", ran.out);
    for needle in needles {
        assert!(ran.error.contains(needle), "{args:?}: expected {needle:?} in {}", ran.error);
    }
}

/// Runs the binary with `text` on its standard input.
fn fed(args: &[&str], text: &str) -> Ran {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn a_dash_is_standard_input() {
    let tiny = Tiny::new(1);
    let (model, text, out) = (tiny.at("model"), tiny.at("text.txt"), tiny.at("s"));
    let harvest = |text: &'static str| {
        let dry = ["--sites", "embed", "--dry-run", "--split", "all"];
        [&["harvest", "--model", &model, "--out", &out, "--text", text], &dry[..]].concat().join("\n")
    };
    let args = harvest("-");
    let ran = fed(&args.split('\n').collect::<Vec<_>>(), &tiny.read("text.txt"));
    assert_eq!(ran.code, Some(0), "{}", ran.error);
    let named = args.replace("\n-\n", &format!("\n{text}\n"));
    assert_eq!(ran.out, good(&named.split('\n').collect::<Vec<_>>()));

    let prompt = |file: &str| {
        let args = ["lm", "generate", "--model", &model, "--max-tokens", "2", "--json", "--text-file", file];
        fed(&args, "\u{feff}a text").out
    };
    tiny.write("prompt.txt", "a text");
    assert_eq!(prompt("-"), prompt(&tiny.at("prompt.txt")));
}

#[test]
fn token_ids_may_have_spaces_and_are_never_negative() {
    let tiny = Tiny::new(1);
    let model = tiny.at("model");
    let say =
        |tokens| ["lm", "generate", "--model", &model, "--max-tokens", "2", "--json", "--tokens", tokens];
    assert_eq!(good(&say("5, 6 ,7")), good(&say("5,6,7")));
    refused(&say("-1"), &["expected token ids from 0", "found `-1`"]);
    refused(&say("5,x"), &["expected token ids from 0", "found `x`"]);
}

#[test]
fn a_tilde_is_the_home_folder_wherever_a_path_is_given() {
    let tiny = Tiny::new(1);
    let home = |args: &[&str]| -> Ran {
        command(args).env("HOME", tiny.path("")).output().expect("the binary runs").into()
    };
    let info = home(&["lm", "info", "--model", "~/model"]);
    assert_eq!((info.code, info.error.as_str()), (Some(0), ""));
    let taken = home(&[
        "lm",
        "tap",
        "--model=~/model",
        "--tokens",
        "5,6",
        "--sites",
        "0.res",
        "--out",
        "~/x.safetensors",
    ]);
    assert_eq!(taken.code, Some(0), "{}", taken.error);
    assert!(tiny.path("x.safetensors").is_file());
    tiny.variant("home.toml", &["model = '~/model'", "text = ['~/text.txt']"]);
    let dry = home(&["train", "~/home.toml", "--out", "~/run", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.error);
    let nowhere = home(&["lm", "info", "--model", "~/nowhere"]);
    assert!(
        !nowhere.error.contains("Hugging Face id") && nowhere.error.contains("nowhere"),
        "{}",
        nowhere.error
    );
    let prompt = home(&["lm", "generate", "--model", "~/model", "--max-tokens", "0", "--text", "~/a"]);
    assert_eq!(prompt.code, Some(0), "{}", prompt.error); // a text is no path
    assert!(!prompt.out.contains(tiny.path("").to_str().unwrap()), "{}", prompt.out);
}

#[test]
fn sites_are_known_by_other_peoples_names_too() {
    let tiny = Tiny::new(1);
    let tap = |sites: &str| {
        let (model, out) = (tiny.at("model"), tiny.at("x.safetensors"));
        good(&[
            "lm",
            "tap",
            "--model",
            &model,
            "--tokens",
            "5,6",
            "--sites",
            sites,
            "--out",
            &out,
            "--overwrite",
        ])
    };
    assert_eq!(
        tap("hook_embed, blocks.0.hook_resid_post, model.layers.1.self_attn.o_proj, blocks.*.hook_mlp_out"),
        tap("embed,0.res,1.att,*.mlp")
    );
    let out = tiny.at("moved");
    let convert = ["convert", ONE, "--to", "sae-lens", "--out", &out, "--site", "blocks.1.hook_resid_post"];
    good(&convert);
    assert!(tiny.read("moved/lapidary.json").contains("\"1.res\""));
    refused(
        &["convert", ONE, "--to", "sae-lens", "--out", &tiny.at("y"), "--site", "blocks.1.hook_q"],
        &["hook_resid_post"],
    );
}

/// Dictionaries write down the names that the model reads.
#[test]
fn the_two_tables_of_other_peoples_names_agree() {
    for modules in [Modules::Llama, Modules::PostNorms, Modules::Gpt2, Modules::GptNeoX] {
        for site in ["embed", "3.res", "0.att", "12.mlp", "1.mlp-in", "1.attn", "1.mid"] {
            let ours: Site = site.parse().unwrap();
            let hook = hooks::hook(site, modules).unwrap();
            assert_eq!(hook.hook_name.parse::<Site>().unwrap(), ours);
            // A few modules of `model.layers` are other places in a model with post-norms: only a model can tell.
            let Some(module) = hook.hf_hook_name else { continue };
            let told = ["post_attention_layernorm", "s.12.mlp.output", "self_attn.output"];
            if !(module.starts_with("model.") && told.iter().any(|part| module.contains(part))) {
                assert_eq!(module.parse::<Site>().unwrap(), ours, "{module}");
            }
        }
    }
}

#[test]
fn what_the_program_carries_is_found_by_every_verb() {
    let tiny = Tiny::new(1);
    let out = tiny.at("copy");
    good(&["convert", ONE, "--to", "sae-lens", "--out", &out]);
    assert!(tiny.path("copy/cfg.json").is_file());
    let (data, embedded) = (tiny.at("none"), format!("embedded:{ONE}"));
    good(&["convert", &embedded, "--to", "sae-lens", "--out", &tiny.at("again"), "--data", &data]);
    assert_eq!(tiny.read("again/cfg.json"), tiny.read("copy/cfg.json"));
    let text = ["--text", "world:tokens=3000", "--dry-run"];
    let whole = good(&[&["evaluate", "organism-suite"], &text[..]].concat());
    assert!(whole.contains("19 dictionaries"), "{whole}"); // 20, one of which reads a randomised model
    let one = good(&[&["evaluate", ONE, "--model", "embedded:organism"], &text[..]].concat());
    assert!(one.contains("1 dictionaries"), "{one}");
    refused(
        &["lm", "info", "--model", "embedded:organisms"],
        &["expected one of organism, organism-chat, organism-suite"],
    );
    refused(
        &["convert", "organism-suite/none", "--to", "sae-lens", "--out", &out],
        &["no such file or folder"],
    );
}

#[test]
fn a_folder_that_hides_what_the_program_carries_is_named() {
    let tiny = Tiny::new(1);
    std::fs::rename(tiny.path("model"), tiny.path("organism")).unwrap();
    let info = |model: &str| lapidary(&["lm", "info", "--model", model, "--data", &tiny.at("")]);
    let (local, embedded) = (info("organism"), info("embedded:organism"));
    assert_eq!((local.code, embedded.code), (Some(0), Some(0)));
    assert!(
        local.error.contains("not what the program carries; embedded:organism is that"),
        "{}",
        local.error
    );
    assert_eq!(local.error.lines().count(), 1, "said once: {}", local.error);
    assert_eq!(embedded.error, "");
    assert_ne!(local.out, embedded.out);
}

#[test]
fn a_text_that_can_never_be_evaluated_is_said_before_training() {
    let tiny = Tiny::new(1);
    let one = "a word and another ".repeat(200);
    // Seven in eight fall into the training split.
    let warned = ["", "x", "y", "z"].iter().any(|end| {
        tiny.write("one.txt", &format!("{one}{end}"));
        tiny.variant("one.toml", &[&format!("text = [{:?}]", tiny.path("one.txt"))]);
        let ran = lapidary(&["train", &tiny.at("one.toml"), "--out", &tiny.at("run"), "--dry-run"]);
        ran.code == Some(0)
            && ran.error.contains("warning: the text has 1 document and none of them is held out")
    });
    assert!(warned);
    let many = lapidary(&["train", &tiny.at("suite.toml"), "--out", &tiny.at("run"), "--dry-run"]);
    assert!(!many.error.contains("warning"), "{}", many.error);
}
