// Reads owners, salts and contracts as JSON, and writes where Safe's own protocol-kit says the Safes will stand.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const from = createRequire(`${process.env.COUNTERSIGN_EVM}/package.json`);
const kit = from('@safe-global/protocol-kit');

const question = JSON.parse(readFileSync(0, 'utf8'));
const nobody = '0x0000000000000000000000000000000000000000';
const contractNetworks = {
  31337: {
    safeSingletonAddress: question.singleton, safeProxyFactoryAddress: question.factory,
    fallbackHandlerAddress: question.handler,
  },
};
const safeProvider = await kit.SafeProvider.init({
  provider: question.url, safeVersion: question.version, contractNetworks,
});
const predicted = [];
for (const saltNonce of question.salts) {
  predicted.push(await kit.predictSafeAddress({
    safeProvider, chainId: 31337n,
    safeAccountConfig: {
      owners: question.owners, threshold: 2, to: nobody, data: '0x', fallbackHandler: question.handler,
      paymentToken: nobody, payment: 0, paymentReceiver: nobody,
    },
    safeDeploymentConfig: { saltNonce, safeVersion: question.version },
    isL1SafeSingleton: question.plain,
    customContracts: contractNetworks[31337],
  }));
}
console.log(JSON.stringify(predicted));
process.exit(0);
