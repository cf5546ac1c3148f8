package sub

import (
	_ "os/exec"

	_ "example.test/house/internal/maildir"
)

const folder = "Wysłane" // Data, of which there is a reason.
