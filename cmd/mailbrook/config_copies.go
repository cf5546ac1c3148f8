package main

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/settings"
)

// copiesConfig is about copies of whole mailboxes.
type copiesConfig struct {
	Enabled    bool
	MaxPerUser int  // Unfinished ones.
	Workers    int  // At a time in this process.
	AnyTarget  bool // From anywhere to anywhere; else one end is the user's own mailbox.
	Keep       time.Duration
	Subjects   bool  // Whether reports by mail have subject lines.
	Bandwidth  int64 // Octets in a second, of one copy; 0: no limit.
}

func copiesDefaults() copiesConfig {
	return copiesConfig{Enabled: true, MaxPerUser: 1, Workers: 4, Keep: 24 * time.Hour}
}

func copiesSettings() []setting {
	return []setting{
		{Name: "copies.enabled", Kind: settings.Truth, Set: func(c *config, v string) (err error) {
			c.Copies.Enabled, err = parseTruth(v)
			return err
		}},
		{Name: "copies.max_per_user", Kind: settings.Number, Set: func(c *config, v string) (err error) {
			c.Copies.MaxPerUser, err = parseNumber(v, 1000)
			return err
		}},
		{Name: "copies.workers", Kind: settings.Number, Set: func(c *config, v string) (err error) {
			c.Copies.Workers, err = parseNumber(v, 1000)
			return err
		}},
		{Name: "copies.any_target", Kind: settings.Truth, Set: func(c *config, v string) (err error) {
			c.Copies.AnyTarget, err = parseTruth(v)
			return err
		}},
		{Name: "copies.keep_credentials", Kind: settings.Duration, Set: func(c *config, v string) (err error) {
			c.Copies.Keep, err = parseDuration(v)
			return err
		}},
		{Name: "copies.report_subjects", Kind: settings.Truth, Set: func(c *config, v string) (err error) {
			c.Copies.Subjects, err = parseTruth(v)
			return err
		}},
		{Name: "copies.bandwidth", Kind: settings.Number, Optional: true, Set: func(c *config, v string) (err error) {
			c.Copies.Bandwidth = 0
			if v != "" && v != "0" {
				c.Copies.Bandwidth, err = parseBytes(v)
			}
			return err
		}},
	}
}
