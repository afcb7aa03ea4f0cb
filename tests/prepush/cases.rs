//! The cases. `a` is a file of the tree that checks read.

mod content;
mod layout;
mod refs;
mod run;

use super::Case;

/// Names and functions are the same word.
macro_rules! cases {
    ($($module:ident: $($name:ident),+;)+) => {
        pub const ALL: &[Case] = &[$($((stringify!($name), $module::$name)),+),+];
    };
}

cases! {
    content:
        good_commit, bad_commit, dirty_bad_checkout, fix_that_is_not_staged, fix_that_is_staged,
        untracked_file_hides_a_missing_one, untracked_bad_file, ignored_file_hides_a_missing_one, bad_merge,
        commit_before_a_bad_one, head_is_the_pushed_commit, tree_with_another_configuration;
    refs:
        several_with_one_bad, all_of_them_with_one_bad, another_branch_that_is_bad, another_branch_that_is_good,
        new_branch_without_upstream, force_push, deletion, deletion_and_bad_branch, deletion_and_good_branch,
        annotated_tag, lightweight_tag, tag_of_a_tag, tag_of_a_file, object_by_its_name, detached_head,
        remote_head_is_stale, remote_head_is_missing, nothing_new;
    layout:
        shallow_clone, sha256, reftable, linked_worktree, worktree_of_a_bare_repository, submodule, submodule_is_changed,
        hooks_path, push_from_a_subfolder, git_dir_elsewhere;
    run:
        second_push_is_known, two_refs_with_one_tree, killed_hook_leaves_the_checkout, failed_hook_leaves_the_checkout,
        pushes_at_the_same_time;
}
