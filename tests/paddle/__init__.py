"""What needs PaddleOCR, which lives in an environment of its own: `make test-paddle`."""
