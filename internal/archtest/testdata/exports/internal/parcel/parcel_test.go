package parcel_test

import "example.test/house/internal/parcel"

var _ = parcel.Tested
