package source

import (
	"example.test/house/internal/wire"
	wired "example.test/house/internal/wire"
)

var reads = wire.Reading()

var writes = wire.NewWriter(nil, wired.Permission{})

func hold(w *wire.Writer) {}
