'use strict';

// What both sides share: every data set that crosses the wire is also kept as the bytes that it was there.

const fs = require('fs');
const path = require('path');
const dimse = require('dcmjs-dimse');

const { Dataset, Scp } = dimse;
const Network = Object.getPrototypeOf(Scp.prototype);

function keep(folder, dataset, bytes) {
  const uid = dataset.getElement('SOPInstanceUID');
  if (uid) {
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, `${uid}@${dataset.getTransferSyntaxUid()}`), bytes);
  }
}

// Objects that are sent: the library's own encoding. Answers to queries have no pixels and no beams.
function keepSent(folder) {
  const encode = Dataset.prototype.getDenaturalizedDataset;
  Dataset.prototype.getDenaturalizedDataset = function (...options) {
    const bytes = encode.apply(this, options);
    if (this.getElement('SOPClassUID') && this.getElement('QueryRetrieveLevel') === undefined) {
      keep(folder, this, bytes);
    }
    return bytes;
  };
}

// Objects that come: before the library reads them.
function keepReceived(folder) {
  for (const side of [Network, Scp.prototype]) {
    side.createDatasetFromStoreWritableStream = function (stream, context, callback) {
      const bytes = stream.toBuffer();
      const dataset = new Dataset(bytes, context.getAcceptedTransferSyntaxUid());
      keep(folder, dataset, bytes);
      callback(dataset);
    };
  }
}

module.exports = { dimse, keepReceived, keepSent };
