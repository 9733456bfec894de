// The rows of viem and ethers for benches/ethereum.rs: JSON in; hashes, signatures, addresses and times in µs out.
// Every round runs each row once; what is taken is the process's CPU time, compiler and collector of garbage included.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const from = createRequire(`${process.env.COUNTERSIGN_EVM}/package.json`);
const viem = from('viem');
const { privateKeyToAccount } = from('viem/accounts');
const ethers = from('ethers');

const question = JSON.parse(readFileSync(0, 'utf8'));
const domain = { chainId: question.chain, verifyingContract: question.safe };
const field = (type, name) => ({ type, name });
const types = {
  SafeTx: [
    field('address', 'to'), field('uint256', 'value'), field('bytes', 'data'), field('uint8', 'operation'),
    field('uint256', 'safeTxGas'), field('uint256', 'baseGas'), field('uint256', 'gasPrice'),
    field('address', 'gasToken'), field('address', 'refundReceiver'), field('uint256', 'nonce'),
  ],
};
const nobody = '0x0000000000000000000000000000000000000000';
const message = {
  to: question.to, value: 0n, data: question.data, operation: 0, safeTxGas: BigInt(question.safeTxGas), baseGas: 0n,
  gasPrice: 0n, gasToken: nobody, refundReceiver: nobody, nonce: BigInt(question.nonce),
};
const typed = { domain, types, primaryType: 'SafeTx', message };
const account = privateKeyToAccount(question.key);
const wallet = new ethers.Wallet(question.key);

// the salt is the hash of the setup call's hash and the index, as the factory computes it
const { factory, setupHash, initCodeHash, indices } = question;
const words = (index) => setupHash + index.toString(16).padStart(64, '0');
const addresses = {
  viem: (index) => viem.getContractAddress({
    opcode: 'CREATE2', from: factory, salt: viem.keccak256(words(index)), bytecodeHash: initCodeHash,
  }),
  ethers: (index) => ethers.getCreate2Address(factory, ethers.keccak256(words(index)), initCodeHash),
};
let next = 0;
const each = (address) => () => {
  let last;
  for (let at = 0; at < question.batch; at += 1) last = address((next += 1));
  return last;
};

const rows = [
  ['signing', 1, 'viem, typed data hashed', () => viem.hashTypedData(typed)],
  ['signing', 1, 'viem, typed data hashed and signed', () => account.signTypedData(typed)],
  ['signing', 1, 'ethers, typed data hashed', () => ethers.TypedDataEncoder.hash(domain, types, message)],
  ['signing', 1, 'ethers, typed data hashed and signed', () => wallet.signTypedData(domain, types, message)],
  ['addresses', question.batch, 'viem, getContractAddress', each(addresses.viem)],
  ['addresses', question.batch, 'ethers, getCreate2Address', each(addresses.ethers)],
];
const times = rows.map(() => []);
const cpu = () => { const { user, system } = process.cpuUsage(); return user + system; };
for (let round = -question.warmup; round < question.rounds; round += 1) {
  for (const [at, [, , , run]] of rows.entries()) {
    const before = cpu();
    await run();
    if (round >= 0) times[at].push(cpu() - before);
  }
}
const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
console.log(JSON.stringify({
  hashes: [rows[0][3](), rows[2][3]()],
  signatures: [await rows[1][3](), await rows[3][3]()],
  addresses: [indices.map(addresses.viem), indices.map(addresses.ethers)],
  rows: rows.map(([table, runs, name], at) => ({ table, name, us: median(times[at]) / runs })),
  versions: `viem ${from('viem/package.json').version}, ethers ${ethers.version}, node ${process.version}`,
}));
