package diagnose

import (
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// TellDetail says a diagnosis's or a step's detail in a person's language. Names of hosts are in letters; a server's
// own words, and other names, stay as they are.
func TellDetail(detail words.Detail, lang words.Language) string {
	return detail.In(lang, account.Letters)
}
