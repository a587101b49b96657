"""Text that is made up by rules: stories of a tracked world, sums, spelling, facts; free of anybody's rights."""
