"""What a source is written with, and how its calls are made: policies in `traffic`, HTTP clients in `wire`."""
