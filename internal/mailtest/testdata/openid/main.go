// Command openid is an identity provider for tests: the OpenID provider of
// zitadel/oidc with the storage and the pages of its own example. It is a module of
// its own, so that the product depends on nothing of it.
//
// It prints the address at which it listens, and runs until it is killed.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where")
	cert, key := flag.String("cert", "", "PEM"), flag.String("key", "", "PEM")
	users := flag.String("users", "", "a file in JSON, as the example's storage reads it")
	client, secret := flag.String("client", "", "the client's id"), flag.String("secret", "", "its secret; none: it is "+
		"public")
	redirect := flag.String("redirect", "", "where the client has browsers sent back to")
	flag.Parse()
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	who, err := storage.StoreFromFile(*users)
	if err != nil {
		log.Fatal(err)
	}
	if *secret == "" {
		storage.RegisterClients(storage.NativeClient(*client, *redirect))
	} else {
		storage.RegisterClients(storage.WebClient(*client, *secret, *redirect))
	}
	issuer := fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	handler := exampleop.SetupServer(issuer, storage.NewStorage(who), nil, false)
	fmt.Println(issuer)
	server := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	log.Fatal(server.ServeTLS(l, "", ""))
}
