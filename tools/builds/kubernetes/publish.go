package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// publish listens on this machine and hands each connection to an address inside the cluster's network namespace.
// Arguments: LISTEN=TARGET pairs, both host:port. Returns only on an error.
func publish(pairs []string) error {
	if len(pairs) == 0 {
		return errors.New("usage: publish 127.0.0.1:30080=10.0.0.2:30080 ...")
	}
	failed := make(chan error)
	for _, pair := range pairs {
		listen, target, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("%q is not LISTEN=TARGET", pair)
		}
		listener, err := net.Listen("tcp", listen)
		if err != nil {
			return err
		}
		go func() {
			for {
				client, err := listener.Accept()
				if err != nil {
					failed <- err
					return
				}
				go forward(client.(*net.TCPConn), target)
			}
		}()
	}
	return <-failed
}

func forward(client *net.TCPConn, target string) {
	defer client.Close()
	connection, err := net.Dial("tcp", target)
	if err != nil {
		return // The client sees a closed connection, as from any port behind which nobody listens.
	}
	server := connection.(*net.TCPConn)
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		io.Copy(client, server)
		client.CloseWrite()
		close(answered)
	}()
	io.Copy(server, client)
	server.CloseWrite()
	<-answered
}
