//! `rekindle dev --exit`: what a newcomer sees first.

use std::time::Duration;

use crate::process::Process;

/// The show replays an hour and a half in a debug build on a busy machine.
const SHOW: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_show_tells_the_funnel_the_mails_and_who_came_back() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let settings = [("TMPDIR".to_owned(), folder.path().display().to_string())];
    let shown = Process::spawn(&["dev", "--exit"], &settings).finish(SHOW).await;
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for stage in ["Asked", "Answered", "Came back", "Thanked"] {
        assert!(shown.stdout.contains(stage), "no stage {stage:?} in\n{}", shown.stdout);
    }
    for heading in ["stalled", "sent", "came back"] {
        assert!(count(&shown.stdout, heading) > 0, "nobody: {heading:?} in\n{}", shown.stdout);
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the directory is there").flatten().collect();
    assert!(left.is_empty(), "the show left {left:?} behind");
}

/// The first number in the heading of a list, as in `What was sent (11 mails …):`; 0 when there is none.
fn count(text: &str, heading: &str) -> u64 {
    let mut headings = text.lines().filter(|line| line.ends_with(':') && line.contains(heading));
    let counted = headings.next().and_then(|line| line.split_once('(')).map(|(_, counted)| counted);
    let digits = counted.and_then(|counted| counted.split(' ').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
