package transfer

import (
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// LateName names a folder that came to the source after the plan was made: as it is called there.
func LateName(f mail.Folder, taken func(string) bool) string {
	name := strings.Join(f.Path, "/")
	if name == "" {
		name = "INBOX"
	}
	for i := 2; taken(name); i++ {
		name = fmt.Sprintf("%s (%d)", strings.Join(f.Path, "/"), i)
	}
	return name
}
