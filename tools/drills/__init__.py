"""The drills: real processes under fire. `tools.drills` runs them side by side, shows and writes what came of it; tests/drills has their stories."""
