package main

import (
	"strings"
	"testing"
	"time"
)

func TestHowLongActsAreKeptIsReadInDaysAndYears(t *testing.T) {
	t.Chdir(t.TempDir())
	const day = 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"1d": day, "90d": 90 * day, "1y": 365 * day, "100y": 36500 * day, "36500d": 36500 * day, "forever": forever,
	} {
		c, err := loadConfig(t.Context(), "", []string{"MAILBROOK_AUDIT_KEEP=" + value}, nil)
		if err != nil || c.Audit.Keep != want {
			t.Errorf("%q: %v, %v", value, c.Audit.Keep, err)
		}
	}
	for value, says := range map[string]string{
		"0": "90d or 1y", "0d": `a day (1d) at least`, "0y": `"forever" keeps everything`, "365": "90d or 1y",
		"-1d": "90d or 1y", "1.5y": "90d or 1y", "d": "90d or 1y", "8760h": "90d or 1y", "always": "90d or 1y",
		"101y": "a hundred years", "36501d": "a hundred years", "99999999999999999999d": "90d or 1y", "": "is empty",
	} {
		_, err := loadConfig(t.Context(), "", []string{"MAILBROOK_AUDIT_KEEP=" + value}, nil)
		if err == nil || !strings.Contains(err.Error(), "audit.keep") || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", value, err)
		}
	}
}
