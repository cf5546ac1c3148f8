// Command house imports what it likes.
package main

import _ "example.test/house/internal/fetch"

func main() {}
