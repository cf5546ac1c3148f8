package main

import "example.test/house/internal/parcel"

func main() {
	_, _ = parcel.Packet, parcel.Size
	parcel.Post().Open()
}
