"""The panels of the live page, a file each: functions of a market that are shown anew after each frame."""
