package parcel

import (
	"testing"
	"time"
)

func TestOne(t *testing.T) { t.Parallel() }

func TestTwo(t *testing.T) { time.Sleep(1) }

func FuzzOne(f *testing.F) {}

func ExamplePost() {}
