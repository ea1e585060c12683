"""How well alerts find what is there: a made-up hospital with its truth, and rules beside ours on the same log."""
