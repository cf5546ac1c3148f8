package sub

import (
	_ "os/exec"

	_ "example.test/house/internal/maildir"
)
