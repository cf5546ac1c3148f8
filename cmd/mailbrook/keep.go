package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// auditConfig is about who did what.
type auditConfig struct {
	Keep time.Duration // How long it is known; forever: always.
}

// forever is how long something is kept that is never forgotten.
const forever = time.Duration(math.MaxInt64)

// auditSettings are its keys.
func auditSettings() []setting {
	return []setting{{Name: "audit.keep", Set: func(c *config, v string) (err error) {
		c.Audit.Keep, err = parseKeep(v)
		return err
	}}}
}

// keptAtMost is the longest time that parseKeep reads: a hundred years, in days.
const keptAtMost = 36500

// parseKeep reads how long something is kept: days ("365d"), years of 365 of them
// ("1y"), or "forever". Nothing is kept for no time at all.
func parseKeep(v string) (time.Duration, error) {
	if v == "forever" {
		return forever, nil
	}
	digits, days := v, 0
	switch {
	case strings.HasSuffix(v, "d"):
		digits, days = strings.TrimSuffix(v, "d"), 1
	case strings.HasSuffix(v, "y"):
		digits, days = strings.TrimSuffix(v, "y"), 365
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	switch most := uint64(keptAtMost); {
	case err != nil || days == 0:
		return 0, errors.New(`must be a number of days or years such as 90d or 1y, or "forever"`)
	case n == 0:
		return 0, errors.New(`must be a day (1d) at least: what is done today is known tomorrow; "forever" keeps everything`)
	case n > most/uint64(days):
		return 0, errors.New(`must be a hundred years at most; "forever" keeps everything`)
	}
	return time.Duration(n) * time.Duration(days) * 24 * time.Hour, nil
}
