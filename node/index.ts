/** The entry `waybill/node`: a node inside a program, with the same local API as the daemon of the command line. */
export { type Daemon, type DaemonOptions, initHome, runDaemon } from './daemon.ts'
