package main

import (
	"fmt"

	"github.com/mailbrook/mailbrook/internal/settings"
	"github.com/mailbrook/mailbrook/internal/webui"
)

// maxRoots is how many octets a file of certificates may have: a system has less than 1 MiB of them.
const maxRoots = 16 << 20

func readLogo(file string) (webui.Logo, error) {
	data, err := settings.ReadRegular(file, webui.MaxLogo)
	if err != nil {
		return webui.Logo{}, fmt.Errorf("must name a picture that can be read: %w", err)
	}
	return webui.NewLogo(file, data)
}

// checkRoots sees to it that a file of certificates, which is read later and more than
// once, can be.
func checkRoots(v string) error {
	if v == "" {
		return nil
	}
	if _, err := settings.ReadRegular(v, maxRoots); err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	return nil
}
