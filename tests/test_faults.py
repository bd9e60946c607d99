"""Each rule of handing clips over to models, and each fault that it is to bear, has a test that holds it."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent

RULES = {
    # room for parcels
    "parcels take an eighth of the memory, and 1 GiB at most": [
        "executor/devices parcels_take_an_eighth_of_the_memory_and_a_gib_at_most"
    ],
    "who finds no room waits, before anything is copied": ["executor/spool who_finds_no_room_waits_for_it"],
    "room is free again when a batch is answered": ["engine/hosted what_lies_between_stays_within_its_budget"],
    "a parcel that is larger than all room goes alone": ["executor/spool what_is_larger_than_all_room_goes_alone"],
    "room that a dead worker took is free again": ["executor/spool room_that_a_dead_worker_took_is_free_again"],
    "many shapes, none full, and no room left: no deadlock": [
        "engine/hosted what_lies_between_stays_within_its_budget"
    ],
    "waiting for room is no cost and no time of a limit": ["engine/hosted waiting_for_room_counts_for_nobody"],
    "passes yield to models": ["executor/devices each_kind_of_work_has_its_place"],
    "a container's small /dev/shm is not used": [
        "executor/spool a_small_memory_backed_folder_is_left_alone",
        "executor/spool without_room_in_memory_parcels_lie_on_the_disk",
    ],
    "arrays of parcels may be written to": ["executor/spool a_value_comes_back_as_it_was"],
    # batches
    "of one recipe and one shape": ["engine/batches a_batch_is_of_one_recipe_and_one_shape"],
    "no more than the stage's number, its bytes, and what memory was found to be enough for": [
        "engine/batches no_batch_is_larger_than_it_may_be",
        "engine/batches a_cap_is_of_one_shape",
    ],
    "a full one first, that of the oldest parcel": ["engine/batches of_full_ones_the_oldest_goes_first"],
    "of all videos, and full": ["engine/hosted batches_are_of_all_videos_and_full"],
    "two in hand": ["executor/devices a_process_has_two_batches_in_hand"],
    "windows are parcels of their own": ["engine/windows windows_of_all_videos_make_a_batch"],
    "no result depends on batches, processes or workers": [
        "engine/hosted the_same_comes_of_any_number_of_processes_and_any_batch",
        "engine/windows the_same_comes_of_any_number_of_processes_and_any_batch",
        "executor/executors each_writes_the_same",
    ],
    "models are sent for before the footage is decoded": [
        "engine/hosted models_are_sent_for_before_the_footage_is_decoded"
    ],
    # blame
    "an exception is halved down to the guilty": [
        "executor/host the_guilty_is_found_by_halving",
        "engine/hosted a_bad_clip_fails_alone",
    ],
    "too little memory halves, and is remembered": [
        "executor/host too_little_memory_is_remembered",
        "executor/host memory_is_known_by_what_libraries_say",
        "engine/hosted too_little_memory_halves_and_is_remembered",
    ],
    "a death is tried one by one, by few starts": ["engine/hosted a_clip_that_kills_the_model_fails_alone"],
    "a window that kills a model leaves the others": ["engine/windows a_window_that_kills_the_model_leaves_the_others"],
    "a load that raises, or dies twice, is the place's": [
        "engine/hosted a_model_that_cannot_be_loaded_is_said_once_and_of_no_clip",
        "engine/blame loading_has_no_limit_of_time_and_a_death_of_it_is_of_the_place",
        "executor/executors a_model_that_cannot_be_loaded_stops_its_stage",
    ],
    "a load that raised is remembered": [
        "executor/host a_load_that_fails_twice_is_not_tried_again",
        "engine/blame a_load_that_fails_is_not_tried_for_every_clip",
    ],
    "what is lost of footage, or cannot be stored, fails alone": [
        "engine/failing what_a_pass_cannot_collect_for_one_stage_is_no_matter_of_the_others"
    ],
    # limits
    "seconds are of run alone, not of load": [
        "engine/hosted a_clip_that_takes_too_long_fails_alone_and_loading_has_no_limit"
    ],
    "seconds are of a clip, and a batch has as many": ["engine/hosted a_batch_may_take_as_long_as_its_clips_together"],
    "no limit of memory holds a model's process": ["executor/devices each_kind_of_work_has_its_place"],
    # deaths and ends
    "a worker dies: what was handed over does not run again": [
        "engine/hosted what_was_handed_over_does_not_run_again_when_a_worker_dies"
    ],
    "a parcel that comes twice is dropped": ["engine/batches a_parcel_that_comes_twice_is_dropped_once"],
    "whatever ends a worker fails alone": ["executor/dying what_ends_a_worker_fails_alone"],
    "Ctrl-C and SIGTERM end a build at once": [
        "engine/hosted a_build_is_stopped_while_a_model_is_at_work",
        "executor/closing workers_that_start_do_not_hear_of_ctrl_c",
    ],
    "a stopped build says what it did": ["cli/progress a_build_that_is_stopped_tells_what_it_did"],
    "SIGKILL leaves nothing behind for long": [
        "executor/folders the_start_of_any_build_takes_away_what_one_left",
        "engine/hosted a_build_that_is_killed_leaves_no_parcels_for_long",
        "executor/closing idle_workers_end_with_a_build_that_is_killed",
    ],
    "another interpreter ends with its host": ["engine/elsewhere it_does_not_outlive_a_host_that_is_killed"],
    "no worker is replaced for having grown": ["executor/devices a_worker_that_grows_is_kept"],
    # devices
    "one process a device; without one the cores are parted": [
        "executor/devices every_gpu_has_a_process",
        "executor/devices each_process_sees_its_gpu_alone",
        "executor/devices cores_are_parted_among_processes_for_models",
    ],
    "models that do not fit together take turns": [
        "engine/hosted models_that_do_not_fit_together_take_turns",
        "executor/executors models_that_are_too_large_for_one_another_all_run",
        "executor/devices models_take_more_than_their_weights",
    ],
    "how much a device has is asked once": ["executor/devices a_driver_is_asked_once"],
    "a model that reads columns only has no pass": ["executor/devices each_kind_of_work_has_its_place"],
    # rows and records
    "rows are stored while a long pass goes on": ["engine/hosted rows_are_stored_while_a_long_pass_goes_on"],
    "what may pass is tried again, and that alone": [
        "engine/windows what_may_pass_is_tried_at_once",
        "executor/dying what_may_pass_is_tried_again_in_the_same_build",
    ],
    "loading is recorded apart, and a plan counts it": ["engine/hosted loading_is_recorded_apart_and_counts_in_a_plan"],
    "weights are digested once": ["contents a_large_file_is_read_once"],
    # pictures
    "pictures are those of the model's own resize": ["media/fits kernels_come_near_to_pillows"],
    "sides are rounded as the model rounds them": ["media/fits sides_follow_from_the_shape"],
    "a picture is cropped, squashed or padded as the model's is": ["media/fits the_middle_is_taken"],
}
"""Rule or fault → the tests that fail if it does not hold: a file and a name, both without `test_`."""


def names_in(path):
    """The names of a file's tests."""
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_its_tests(rule):
    """They are there, under these names."""
    for one in RULES[rule]:
        place, name = one.split()
        file = HERE / place
        assert f"test_{name}" in names_in(file.with_name(f"test_{file.name}.py")), one
