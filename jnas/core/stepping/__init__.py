"""What a step of a search does between a proposal and a trace, with one worker and with several."""
